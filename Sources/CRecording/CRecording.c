/* SPDX-License-Identifier: GPL-2.0-only */
/* The recording of a step's accesses, and the callbacks of ThreadSanitizer's instrumentation. */
#include "CRecording.h"

#include <stdlib.h>
#include <string.h>

static struct {
	uintptr_t base;
	size_t size; /* 0: nothing is recorded */
	uint32_t step;
	size_t count;
	/* The hash of what was read since `reading` began. */
	uint64_t reads;
	uint32_t reading;
	struct recorded_access accesses[RECORDED_WORDS];
	/* By word: the step that touched it last, and where its accesses are then. */
	uint32_t touched[RECORDED_WORDS], place[RECORDED_WORDS];
	/* By word: the bytes that are in the hash, if it was hashed in this reading. */
	uint32_t hashed_in[RECORDED_WORDS];
	uint8_t hashed[RECORDED_WORDS];
	/* By word: the bytes that recordings leave out, and the bits that are no part of the state. */
	uint8_t left_out[RECORDED_WORDS];
	uint64_t no_state[RECORDED_WORDS];
} recording;

bool accesses_are_recorded(void)
{
#ifdef MMDIFF_RECORD_ACCESSES
	return true;
#else
	return false;
#endif
}

void recording_attach(const void *base)
{
	recording.base = (uintptr_t)base;
	recording.size = 0;
	memset(recording.left_out, 0, sizeof(recording.left_out));
	memset(recording.no_state, 0, sizeof(recording.no_state));
}

void recording_leave_out(const void *address, size_t size, bool of_state)
{
	uintptr_t offset = (uintptr_t)address - recording.base;

	for (; size; size--, offset++) {
		recording.left_out[offset / 8] |= (uint8_t)(1 << offset % 8);
		if (!of_state)
			recording.no_state[offset / 8] |= 0xffUL << offset % 8 * 8;
	}
}

void recording_start(void)
{
	recording.count = 0;
	if (++recording.step == 0) {
		memset(recording.touched, 0, sizeof(recording.touched));
		recording.step = 1;
	}
	recording_forget_reads();
	recording.size = RECORDED_BYTES;
}

void recording_forget_reads(void)
{
	recording.reads = 0;
	if (++recording.reading == 0) {
		memset(recording.hashed_in, 0, sizeof(recording.hashed_in));
		recording.reading = 1;
	}
}

void recording_stop(void)
{
	recording.size = 0;
}

bool recording_pause(void)
{
	bool was_on = recording.size != 0;

	recording.size = 0;
	return was_on;
}

void recording_go_on(bool was_on)
{
	recording.size = was_on ? RECORDED_BYTES : 0;
}

const struct recorded_access *recorded_accesses(void)
{
	return recording.accesses;
}

size_t recorded_count(void)
{
	return recording.count;
}

uint64_t recorded_reads(void)
{
	return recording.reads;
}

static inline uint64_t hashed(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value * 0x9e3779b97f4a7c15UL) * 0xff51afd7ed558ccdUL;
	return hash ^ hash >> 32;
}

/* In four lanes, since each step of one waits for the step before. */
uint64_t recording_state_hash(size_t size)
{
	const uint64_t *words = (const uint64_t *)recording.base;
	uint64_t lanes[4] = { 1, 2, 3, 4 };

	for (size_t word = 0; word < size / 8; word++)
		lanes[word % 4] = hashed(lanes[word % 4], words[word] & ~recording.no_state[word]);
	return hashed(hashed(lanes[0], lanes[1]), hashed(lanes[2], lanes[3]));
}

size_t recording_first_difference(const void *copy, size_t size)
{
	const uint64_t *words = (const uint64_t *)recording.base, *others = copy;

	for (size_t word = 0; word < size / 8; word++)
		if ((words[word] ^ others[word]) & ~recording.no_state[word])
			return word * 8;
	return size;
}

/* What a task reads again, nobody else has changed: it is in the hash already. */
static inline void hash_read(uint32_t word, uint8_t bytes)
{
	const uint8_t *start = (const uint8_t *)(recording.base + word * 8UL);
	uint64_t value = 0;

	if (recording.hashed_in[word] != recording.reading) {
		recording.hashed_in[word] = recording.reading;
		recording.hashed[word] = 0;
	}
	bytes &= (uint8_t)~recording.hashed[word];
	if (!bytes)
		return;
	recording.hashed[word] |= bytes;
	for (int byte = 0; byte < 8; byte++)
		if (bytes >> byte & 1)
			value |= (uint64_t)start[byte] << byte * 8;
	recording.reads = hashed(recording.reads ^ word << 8 ^ bytes, value);
}

static inline void record_word(uint32_t word, uint8_t bytes, bool writes)
{
	struct recorded_access *access;

	bytes &= (uint8_t)~recording.left_out[word];
	if (!bytes)
		return;
	if (recording.touched[word] != recording.step) {
		recording.touched[word] = recording.step;
		recording.place[word] = (uint32_t)recording.count;
		recording.accesses[recording.count++] = (struct recorded_access){ .word = word };
	}
	access = &recording.accesses[recording.place[word]];
	if (writes) {
		access->written |= bytes;
	} else {
		access->read |= bytes;
		hash_read(word, bytes);
	}
}

static inline void record(const void *address, size_t size, bool writes)
{
	uintptr_t offset = (uintptr_t)address - recording.base;

	if (offset >= recording.size || !size)
		return;
	uint32_t first = (uint32_t)(offset / 8), last = (uint32_t)((offset + size - 1) / 8);
	if (first == last) {
		record_word(first, (uint8_t)((1U << size) - 1) << offset % 8, writes);
		return;
	}
	record_word(first, (uint8_t)(0xff << offset % 8), writes);
	for (uint32_t word = first + 1; word < last; word++)
		record_word(word, 0xff, writes);
	record_word(last, (uint8_t)(0xff >> (7 - (offset + size - 1) % 8)), writes);
}

void record_access(const void *address, size_t size, bool writes)
{
	record(address, size, writes);
}

/* ThreadSanitizer's interface: llvm/lib/Transforms/Instrumentation/ThreadSanitizer.cpp. */

#define ACCESS(size)                                                                    \
	void __tsan_read##size(void *address) { record(address, size, false); }              \
	void __tsan_write##size(void *address) { record(address, size, true); }              \
	void __tsan_unaligned_read##size(void *address) { record(address, size, false); }    \
	void __tsan_unaligned_write##size(void *address) { record(address, size, true); }    \
	void __tsan_volatile_read##size(void *address) { record(address, size, false); }     \
	void __tsan_volatile_write##size(void *address) { record(address, size, true); }     \
	void __tsan_unaligned_volatile_read##size(void *address) { record(address, size, false); } \
	void __tsan_unaligned_volatile_write##size(void *address) { record(address, size, true); } \
	void __tsan_read_write##size(void *address)                                          \
	{                                                                                    \
		record(address, size, false);                                                \
		record(address, size, true);                                                 \
	}                                                                                    \
	void __tsan_unaligned_read_write##size(void *address) { __tsan_read_write##size(address); }

#pragma clang diagnostic ignored "-Wmissing-prototypes"

ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

void __tsan_init(void) {}
void __tsan_func_entry(void *caller) { (void)caller; }
void __tsan_func_exit(void) {}
/* Around Swift's deinitializers, which no fiber runs. */
void __tsan_ignore_thread_begin(void) {}
void __tsan_ignore_thread_end(void) {}
void __tsan_read_range(void *address, size_t size) { record(address, size, false); }
void __tsan_write_range(void *address, size_t size) { record(address, size, true); }
void __tsan_vptr_read(void **address) { record(address, sizeof(*address), false); }
void __tsan_vptr_update(void **address, void *value)
{
	(void)value;
	record(address, sizeof(*address), true);
}

/* Swift's inout accesses: what lies behind them calls back for itself. */
void __tsan_external_write(void *address, void *caller, void *tag)
{
	(void)address, (void)caller, (void)tag;
}

void *__tsan_memset(void *to, int byte, size_t size)
{
	record(to, size, true);
	return memset(to, byte, size);
}

void *__tsan_memcpy(void *to, const void *from, size_t size)
{
	record(from, size, false);
	record(to, size, true);
	return memcpy(to, from, size);
}

void *__tsan_memmove(void *to, const void *from, size_t size)
{
	record(from, size, false);
	record(to, size, true);
	return memmove(to, from, size);
}

/* Atomic accesses: none is to shared memory of the model, which needs none, but Swift makes some of its own. */
#define ATOMIC(bits, type)                                                              \
	type __tsan_atomic##bits##_load(const volatile type *address, int order)             \
	{                                                                                    \
		(void)order;                                                                 \
		record((const void *)address, sizeof(type), false);                          \
		return __atomic_load_n(address, __ATOMIC_SEQ_CST);                           \
	}                                                                                    \
	void __tsan_atomic##bits##_store(volatile type *address, type value, int order)      \
	{                                                                                    \
		(void)order;                                                                 \
		record((const void *)address, sizeof(type), true);                           \
		__atomic_store_n(address, value, __ATOMIC_SEQ_CST);                          \
	}                                                                                    \
	EXCHANGE(bits, type, exchange, __atomic_exchange_n)                                  \
	EXCHANGE(bits, type, fetch_add, __atomic_fetch_add)                                  \
	EXCHANGE(bits, type, fetch_sub, __atomic_fetch_sub)                                  \
	EXCHANGE(bits, type, fetch_and, __atomic_fetch_and)                                  \
	EXCHANGE(bits, type, fetch_or, __atomic_fetch_or)                                    \
	EXCHANGE(bits, type, fetch_xor, __atomic_fetch_xor)                                  \
	type __tsan_atomic##bits##_compare_exchange_val(                                     \
		volatile type *address, type expected, type value, int order, int failure)   \
	{                                                                                    \
		(void)order, (void)failure;                                                  \
		record((const void *)address, sizeof(type), false);                          \
		record((const void *)address, sizeof(type), true);                           \
		__atomic_compare_exchange_n(                                                 \
			address, &expected, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
		return expected;                                                             \
	}
#define EXCHANGE(bits, type, name, builtin)                                             \
	type __tsan_atomic##bits##_##name(volatile type *address, type value, int order)     \
	{                                                                                    \
		(void)order;                                                                 \
		record((const void *)address, sizeof(type), false);                          \
		record((const void *)address, sizeof(type), true);                           \
		return builtin(address, value, __ATOMIC_SEQ_CST);                            \
	}

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)

void __tsan_atomic_thread_fence(int order) { (void)order; }
void __tsan_atomic_signal_fence(int order) { (void)order; }
