#pragma once
#include <stddef.h>

/// What an attention is compiled for. `attention_best` is the best that this processor has; the others are for tests
/// and for results that must be the same on several machines: another choice gives other last bits.
typedef enum { attention_best, attention_portable, attention_avx2, attention_avx512 } attention_instructions;

/// softmax(scale * Q K^T) V for each batch and head; Q, K, V and the result are matrices with a token in each row.
///
/// Strides are in elements. The features of head h start at h * dim in each row, and are contiguous. Batches, heads,
/// dim, queries and keys are at least 1, and the instructions are available. A NaN in a score, a score of +infinity, or
/// a row whose scores are all -infinity gives a row of NaN.
typedef struct {
  const void *q, *k, *v;
  void *out;
  ptrdiff_t q_batch, q_row, k_batch, k_row, v_batch, v_row, out_batch, out_row;
  int batches, heads, dim, queries, keys;
  /// Heads of K and V: each is read by `heads / key_heads` neighbouring heads of Q. 0 for as many as Q has.
  int key_heads;
  /// Not negative; usually 1 / sqrt(dim).
  float scale;
  /// Query i sees keys 0...i only.
  int causal;
  /// Elements of q, k, v and out are bf16, not f32; sums are f32 all the same, but weights of V are rounded to bf16.
  int bf16;
  attention_instructions instructions;
} attention_task;

/// Whether this processor has the instructions: for `attention_best` always in f32; for bf16 AVX512_BF16 is needed, and
/// comes with `attention_best` and `attention_avx512` only.
int attention_available(attention_instructions instructions, int bf16);

/// The bytes of K and V packed.
size_t attention_packed_bytes(const attention_task *task);

/// The bytes that `attention_run` needs to work in.
size_t attention_scratch_bytes(const attention_task *task, int threads);

/// Packs K and V: as often as they change, for any number of runs with the same instructions.
void attention_pack(const attention_task *task, int threads, void *packed);

/// Computes `out`; of K and V only `packed` is read. The result does not depend on the number of threads.
void attention_run(const attention_task *task, int threads, const void *packed, void *scratch);
