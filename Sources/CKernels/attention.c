#include "attention.h"
#include "attention_layout.h"
#include "multiversioned.h"
#include "team.h"
#include <float.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")

// Vectors stay inside inlined code, whatever the calling convention for them is.
#pragma clang diagnostic ignored "-Wpsabi"
// A product and a sum in one expression are one instruction where there is one.
#pragma STDC FP_CONTRACT ON

#if defined(__x86_64__)
#include <immintrin.h>

#pragma clang attribute push(__attribute__((target(INSTRUCTIONS_AVX512_BF16))), apply_to = function)
#define LANES 16
#define VECTORS 3
#define HEIGHT 8
#define PAIRED 1
#define NAMED(name) name##_avx512_bf16
#include "attention_body.h"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target(INSTRUCTIONS_AVX512))), apply_to = function)
#define LANES 16
#define VECTORS 3
#define HEIGHT 8
#define PAIRED 0
#define NAMED(name) name##_avx512
#include "attention_body.h"
#pragma clang attribute pop

#pragma clang attribute push(__attribute__((target(INSTRUCTIONS_AVX2))), apply_to = function)
// Three vectors would need all of the 16 registers, and get 15.
#define LANES 8
#define VECTORS 2
#define HEIGHT 4
#define PAIRED 0
#define NAMED(name) name##_avx2
#include "attention_body.h"
#pragma clang attribute pop
#endif

#define LANES 4
#define VECTORS 2
#define HEIGHT 4
#define PAIRED 0
#define NAMED(name) name##_portable
#include "attention_body.h"

typedef struct {
  void (*pack)(const attention_task *, uint32_t *packed, size_t item);
  void (*attend)(const attention_task *, const uint32_t *packed, float *scratch, size_t item);
  int lanes;
} routines;

static routines routines_for(attention_instructions instructions, int bf16) {
#if defined(__x86_64__)
  int best = instructions == attention_best;
  if ((best || instructions == attention_avx512) && bf16 && processor_has_avx512_bf16()) {
    return (routines){pack_block_avx512_bf16, attend_avx512_bf16, 16};
  }
  if ((best || instructions == attention_avx512) && !bf16 && processor_has_avx512()) {
    return (routines){pack_block_avx512, attend_avx512, 16};
  }
  if ((best || instructions == attention_avx2) && !bf16 && processor_has_avx2()) {
    return (routines){pack_block_avx2, attend_avx2, 8};
  }
#endif
  if ((instructions == attention_best || instructions == attention_portable) && !bf16) {
    return (routines){pack_block_portable, attend_portable, 4};
  }
  return (routines){0};
}

int attention_available(attention_instructions instructions, int bf16) {
  return routines_for(instructions, bf16).attend != 0;
}

typedef struct {
  const attention_task *task;
  uint32_t *packed;
  float *scratch;
  routines routines;
} work;

static void pack_item(void *context, size_t item, int thread) {
  (void)thread;
  const work *w = context;
  w->routines.pack(w->task, w->packed, item);
}

static void attend_item(void *context, size_t item, int thread) {
  const work *w = context;
  w->routines.attend(w->task, w->packed, w->scratch + thread * thread_words(w->task), item);
}

// Memory that others give starts where it likes; this is the first whole line of a cache in it.
static void *first_line(const void *p) { return (void *)(((uintptr_t)p + LINE - 1) / LINE * LINE); }

size_t attention_packed_bytes(const attention_task *task) {
  return (size_t)task->batches * key_heads(task) * head_words(task) * 4 + LINE;
}

size_t attention_scratch_bytes(const attention_task *task, int threads) {
  return (threads < 1 ? 1 : threads) * thread_words(task) * 4 + LINE;
}

void attention_pack(const attention_task *task, int threads, void *packed) {
  work w = {task, first_line(packed), 0, routines_for(task->instructions, task->bf16)};
  kernels_run(threads, (size_t)task->batches * key_heads(task) * key_blocks(task), pack_item, &w);
}

void attention_run(const attention_task *task, int threads, const void *packed, void *scratch) {
  work w = {task, first_line(packed), first_line(scratch), routines_for(task->instructions, task->bf16)};
  size_t parts = query_parts(task, w.routines.lanes);
  kernels_run(threads, (size_t)task->batches * task->heads * parts, attend_item, &w);
}
