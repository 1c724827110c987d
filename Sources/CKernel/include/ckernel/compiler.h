/* SPDX-License-Identifier: GPL-2.0-only */
/* Attributes: how a struct or a function of the kernel shows in Swift. */
#pragma once

#ifdef __clang__
/*
 * Begins a struct that is only reached by pointer: KERNEL_OBJECT(page) { ... };
 *
 * Swift imports it as a reference type.  Counting references does nothing, and costs nothing once inlined;
 * the functions must be there, since Swift takes an immortal reference for plain data and then believes
 * that no call can see what is stored through it.
 */
#define KERNEL_OBJECT(name)                                                            \
	struct name;                                                                   \
	static inline void retain_##name(struct name *object) { (void)object; }        \
	static inline void release_##name(struct name *object) { (void)object; }       \
	struct __attribute__((swift_attr("import_reference")))                         \
	__attribute__((swift_attr("retain:retain_" #name)))                            \
	__attribute__((swift_attr("release:release_" #name)))                          \
	__attribute__((swift_attr("returned_as_unretained_by_default")))               \
	__attribute__((swift_attr("unsafe"))) name
#define SWIFT_NAME(name) __attribute__((swift_name(name)))
#define NONISOLATED_UNSAFE __attribute__((swift_attr("nonisolated(unsafe)")))
/* Inside assume_nonnull only the innermost pointer is assumed; pointers to pointers are meant plain. */
#pragma clang diagnostic ignored "-Wnullability-completeness"
#pragma clang diagnostic ignored "-Wnullability-inferred-on-nested-type"
#else
#define KERNEL_OBJECT
#define SWIFT_NAME(name)
#define NONISOLATED_UNSAFE
#define _Nullable
#define _Nonnull
#endif

#define container_of(pointer, type, member) \
	((type *)((char *)(pointer) - __builtin_offsetof(type, member)))

#ifndef likely
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#endif
