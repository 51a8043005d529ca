// Runs the loops of CArithmetic and CKernels over odd sizes, with every buffer as large as it must be and no larger, so that a
// sanitizer sees each step beyond. What they compute is checked elsewhere.
#include "attention.h"
#include "blocks.h"
#include "conversions.h"
#include "product.h"
#include "rounding.h"
#include "rows.h"
#include "team.h"
#include "winograd.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void *room(size_t bytes) {
  void *p = malloc(bytes ? bytes : 1);
  if (!p) exit(1);
  return p;
}

// Small numbers, and at some places those that arithmetic is afraid of.
static float *numbers(size_t count) {
  static const float odd[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 1e38f, -1e38f, 1e-45f, 65504, 65520, 448, 57344};
  float *x = room(4 * count);
  for (size_t i = 0; i < count; i++) {
    x[i] = (float)(rand() % 2001 - 1000) / 500;
    if (rand() % 50 == 0) x[i] = odd[rand() % (int)(sizeof odd / sizeof *odd)];
  }
  return x;
}

static void conversions(size_t count) {
  float *f32 = numbers(count), *back = room(4 * count);
  double *f64 = room(8 * count);
  void *half = room(2 * count), *single = room(4 * count);
  lathe_f32_to_f64(f32, f64, count);
  lathe_f64_to_f32(f64, single, count);
  lathe_f64_to_f16(f64, half, count);
  lathe_f16_to_f32(half, back, count);
  lathe_f16_to_f64(half, f64, count);
  lathe_f32_to_f16(f32, half, count);
  lathe_f64_to_bf16(f64, half, count);
  lathe_f32_to_bf16(f32, half, count);
  lathe_bf16_to_f32(half, back, count);
  lathe_bf16_to_f64(half, f64, count);
  free(f32), free(back), free(f64), free(half), free(single);
}

static void blocks(size_t count) {
  float *x = numbers(32 * count), *back = room(4 * 32 * count);
  void *packed = room(34 * count);
  lathe_f32_to_q8_0(x, packed, count);
  lathe_q8_0_to_f32(packed, back, count);
  free(x), free(back), free(packed);
}

static void rounding(size_t rows, size_t columns) {
  static const size_t sizes[] = {4, 2, 2, 1, 1};
  size_t count = rows * columns, rank = 3;
  float *w = numbers(count), *d = numbers(count), *wide = room(4 * count);
  float *scales = room(4 * rows), *v = numbers(rank * columns), *weights = numbers(columns);
  for (size_t i = 0; i < rows; i++) scales[i] = 0.5f;
  for (int format = LATHE_F32; format <= LATHE_F8_E5M2; format++) {
    void *out = room(sizes[format] * count);
    lathe_survival sums = {0};
    lathe_round_nearest((lathe_format)format, w, d, 0.5f, out, count, &sums);
    lathe_round_stochastic((lathe_format)format, w, d, 0.5f, out, count, 7, 11, &sums);
    lathe_round_shaped((lathe_format)format, w, d, scales, out, rows, columns, v, weights, rank, &sums);
    lathe_widen((lathe_format)format, out, 0.5f, wide, count);
    free(out);
  }
  lathe_largest_sum(w, d, count);
  free(w), free(d), free(wide), free(scales), free(v), free(weights);
}

static void products(size_t rows, size_t rank, size_t columns) {
  float *up = numbers(rows * rank), *down = numbers(rank * columns), *out = room(4 * rows * columns);
  double *up2 = room(8 * rows * rank), *down2 = room(8 * rank * columns), *out2 = room(8 * rows * columns);
  lathe_f32_to_f64(up, up2, rows * rank);
  lathe_f32_to_f64(down, down2, rank * columns);
  lathe_product(up, down, rows, rank, columns, out);
  lathe_product_double(up2, down2, rows, rank, columns, out2);
  free(up), free(down), free(out), free(up2), free(down2), free(out2);
}

static void features(size_t rows, size_t channels) {
  float *x = numbers(rows * channels), *y = numbers(rows * channels), *a = numbers(channels), *b = numbers(channels);
  float *gated = numbers(rows * 2 * channels);
  double *sums = calloc(channels + 1, 8), *squares = calloc(channels + 1, 8);
  kernels_channel_sums(x, rows, channels, sums, squares);
  for (int bf16 = 0; bf16 < 2; bf16++) {
    kernels_format format = bf16 ? kernels_bf16 : kernels_f32;
    void *out = room((bf16 ? 2 : 4) * rows * channels), *wide = room((bf16 ? 2 : 4) * rows * 2 * channels);
    for (int activation = kernels_identity; activation <= kernels_relu; activation++) {
      kernels_affine(x, rows, channels, a, b, (kernels_activation)activation, out, format);
      kernels_activate(x, kernels_f32, rows * channels, (kernels_activation)activation, out, format);
    }
    kernels_layer_norm(x, rows, channels, a, b, 1e-5f, out, format);
    kernels_activate(gated, kernels_f32, rows * 2 * channels, kernels_identity, wide, format);
    kernels_gated_gelu(wide, rows, channels, out, format);
    free(out), free(wide);
  }
  kernels_add(x, y, rows * channels);
  kernels_soft_limit(x, rows * channels, 3, y);
  free(x), free(y), free(a), free(b), free(gated), free(sums), free(squares);
}

static void attention(int batches, int heads, int dim, int queries, int keys, int causal, attention_instructions kind) {
  if (!attention_available(kind, 0)) return;
  size_t width = (size_t)heads * dim;
  float *q = numbers(batches * queries * width), *k = numbers(batches * keys * width), *v = numbers(batches * keys * width);
  float *out = room(4 * batches * queries * width);
  attention_task task = {q, k, v, out, (ptrdiff_t)(queries * width), (ptrdiff_t)width, (ptrdiff_t)(keys * width),
                         (ptrdiff_t)width, (ptrdiff_t)(keys * width), (ptrdiff_t)width, (ptrdiff_t)(queries * width),
                         (ptrdiff_t)width, batches, heads, dim, queries, keys, 0.3f, causal, 0, kind};
  void *packed = room(attention_packed_bytes(&task)), *scratch = room(attention_scratch_bytes(&task, 2));
  attention_pack(&task, 2, packed);
  attention_run(&task, 2, packed, scratch);
  free(q), free(k), free(v), free(out), free(packed), free(scratch);
}

typedef struct {
  const winograd_task *task;
  char *scratch;
  size_t bytes;
} winograd_work;

static void winograd_item(void *context, size_t item, int thread) {
  winograd_work *work = context;
  winograd_run(work->task, item, work->scratch + thread * work->bytes);
}

static void winograd(size_t batch, size_t height, size_t width, size_t in, size_t out, int upsampled, int kind) {
  size_t inputs = batch * height * width / (upsampled ? 4 : 1) * in, outputs = batch * height * width * out;
  float *x = numbers(inputs), *w = numbers(out * in * 9), *bias = numbers(out), *y = numbers(outputs);
  float *scale = numbers(batch * in), *shift = numbers(batch * in);
  size_t packed_bytes = winograd_packed_bytes(out, in, upsampled);
  float *packed = aligned_alloc(64, (packed_bytes + 63) / 64 * 64);
  for (size_t i = 0; i < winograd_pack_items(out); i++) winograd_pack(w, out, in, upsampled, i, packed);
  winograd_task task = {batch, height, width, out, in, upsampled, x, scale, shift, 1, packed, bias, y, y, 2, kind};
  size_t bytes = (winograd_scratch_bytes(&task) + 63) / 64 * 64;
  char *scratch = aligned_alloc(64, 2 * bytes);
  winograd_work work = {&task, scratch, bytes};
  kernels_run(2, winograd_items(&task), winograd_item, &work);
  free(x), free(w), free(bias), free(y), free(scale), free(shift), free(packed), free(scratch);
}

int main(void) {
  srand(1);
  for (size_t count = 0; count < 70; count++) conversions(count);
  for (size_t count = 0; count < 5; count++) blocks(count);
  for (size_t rows = 1; rows < 5; rows++)
    for (size_t columns = 1; columns < 40; columns += 3) rounding(rows, columns);
  for (size_t rows = 1; rows < 20; rows += 3)
    for (size_t columns = 1; columns < 70; columns += 11) products(rows, rows % 5 + 1, columns);
  for (size_t rows = 1; rows < 6; rows++)
    for (size_t channels = 1; channels < 40; channels += 3) features(rows, channels);
  for (int kind = attention_best; kind <= attention_avx512; kind++)
    for (int dim = 1; dim < 90; dim += 13)
      for (int tokens = 1; tokens < 100; tokens += 19)
        for (int causal = 0; causal < 2; causal++)
          attention(2, 3, dim, tokens, causal ? tokens : 77, causal, (attention_instructions)kind);
  for (int kind = WINOGRAD_BEST; kind <= WINOGRAD_AVX512; kind++)
    for (size_t size = 2; size < 20; size += 4)
      for (int upsampled = 0; upsampled < 2; upsampled++) {
        winograd(1, size, size + 2, 5, 7, upsampled, kind);
        winograd(2, size, size, 33, 40, upsampled, kind);
      }
  printf("loops: no complaint with %d threads\n", kernels_granted_threads(2));
  return 0;
}
