#pragma once
#include <stddef.h>
#include <stdint.h>

// ggml's quantisers without data of importance, as its reference code makes blocks: factors are written into blocks that were
// zero, and codes go one a byte to `codes`, in the order of numbers. `lathe_write_codes` puts these where they belong.
//
// Numbers must be finite. Sums are sequential and in single precision, so that the bytes are the same everywhere. Source:
// `quantize_row_*_ref` and `quantize_*` in ggml's `ggml-quants.c`.

// `codes` numbers from 0, half of them negative: Q4_0 (16) and Q5_0 (32); `bytes` is a block's size.
void lathe_encode_signed(const float *x, int codes, size_t bytes, uint8_t *blocks, uint8_t *out, size_t count);
// With a least number: Q4_1 (16) and Q5_1 (32).
void lathe_encode_affine(const float *x, int codes, size_t bytes, uint8_t *blocks, uint8_t *out, size_t count);
void lathe_encode_mxfp4(const float *x, uint8_t *blocks, uint8_t *out, size_t count);
void lathe_encode_iq4_nl(const float *x, uint8_t *blocks, uint8_t *out, size_t count);
void lathe_encode_iq4_xs(const float *x, uint8_t *blocks, uint8_t *out, size_t count);
void lathe_encode_q2_k(const float *x, uint8_t *blocks, uint8_t *out, size_t count);
void lathe_encode_q3_k(const float *x, uint8_t *blocks, uint8_t *out, size_t count);
// Q4_K (codes to 15) and Q5_K (31), whose factors stand alike.
void lathe_encode_q4_k(const float *x, uint8_t *blocks, uint8_t *out, size_t count);
void lathe_encode_q5_k(const float *x, uint8_t *blocks, uint8_t *out, size_t count);
void lathe_encode_q6_k(const float *x, uint8_t *blocks, uint8_t *out, size_t count);
