#pragma once
#include <stddef.h>
#include <stdint.h>

// Numbers that are stored as codes: value = table[code] · step − offset, in single precision and in this order, the product
// rounded before the subtraction.
//
// The stored side may be unaligned. Layouts of ggml's blocks: `ggml-common.h` and `ggml-quants.c` of ggml.

// What the codes of IQ4_NL and IQ4_XS stand for.
static const float lathe_curve[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// One code a byte.
void lathe_decode_bytes(const uint8_t *codes, const float *table, float step, float *destination, size_t count);

// Signed whole numbers, one a byte.
void lathe_decode_integers(const int8_t *codes, float step, float *destination, size_t count);

// Two codes a byte. `first` is the place of the first code among all codes from `codes` on; `even_is_high` says whether codes
// at even places stand in the high nibbles.
void lathe_decode_nibbles(const uint8_t *codes, size_t first, int even_is_high, const float *table, float step,
                          float offset, float *destination, size_t count);

// Blocks of ggml, each type by its name there.
void lathe_decode_q4_0(const uint8_t *source, float *destination, size_t blocks);
void lathe_decode_q4_1(const uint8_t *source, float *destination, size_t blocks);
void lathe_decode_q5_0(const uint8_t *source, float *destination, size_t blocks);
void lathe_decode_q5_1(const uint8_t *source, float *destination, size_t blocks);
void lathe_decode_q2_k(const uint8_t *source, float *destination, size_t blocks);
void lathe_decode_q3_k(const uint8_t *source, float *destination, size_t blocks);
void lathe_decode_q4_k(const uint8_t *source, float *destination, size_t blocks);
void lathe_decode_q5_k(const uint8_t *source, float *destination, size_t blocks);
void lathe_decode_q6_k(const uint8_t *source, float *destination, size_t blocks);
void lathe_decode_iq4_nl(const uint8_t *source, float *destination, size_t blocks);
void lathe_decode_iq4_xs(const uint8_t *source, float *destination, size_t blocks);
void lathe_decode_mxfp4(const uint8_t *source, float *destination, size_t blocks);
void lathe_decode_nvfp4(const uint8_t *source, float *destination, size_t blocks);

// The steps of blocks: how far apart the numbers of codes that differ by one are, for each group of a block that shares one.
// Formats whose blocks begin with their only factor; `bytes` is a block's size.
void lathe_steps_half(const uint8_t *source, size_t bytes, float *steps, size_t blocks);
void lathe_steps_mxfp4(const uint8_t *source, float *steps, size_t blocks);
void lathe_steps_nvfp4(const uint8_t *source, float *steps, size_t blocks);
void lathe_steps_q2_k(const uint8_t *source, float *steps, size_t blocks);
void lathe_steps_q3_k(const uint8_t *source, float *steps, size_t blocks);
// Q4_K and Q5_K, whose blocks begin alike; `bytes` is a block's size.
void lathe_steps_q4_k(const uint8_t *source, size_t bytes, float *steps, size_t blocks);
void lathe_steps_q6_k(const uint8_t *source, float *steps, size_t blocks);
void lathe_steps_iq4_xs(const uint8_t *source, float *steps, size_t blocks);

// Undoes ConvRot in place: each group of `group` numbers, a power of four, times H₄ ⊗ … ⊗ H₄ ÷ √group. The order of the sums is
// a part of the definition: strides from 1 up, halves of pairs first.
void lathe_rotate(float *numbers, size_t count, size_t group);
