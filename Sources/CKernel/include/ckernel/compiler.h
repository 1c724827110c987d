/* SPDX-License-Identifier: GPL-2.0-only */
/* Attributes: how a struct or a function of the kernel shows in Swift. */
#pragma once

#ifdef __clang__
/* A struct reached only by pointer; Swift imports it as an immortal reference type. */
#define KERNEL_OBJECT                                    \
	__attribute__((swift_attr("import_reference")))  \
	__attribute__((swift_attr("retain:immortal")))   \
	__attribute__((swift_attr("release:immortal")))  \
	__attribute__((swift_attr("unsafe")))
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
