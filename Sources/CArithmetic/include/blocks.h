#pragma once
#include <stddef.h>
#include <stdint.h>

// Numbers in blocks of 32 that share a factor, as ggml stores them (Q8_0): the factor as a half, then 32 signed bytes.
//
// The stored side may be unaligned.

// Each number is its byte times the factor, which single precision holds exactly.
void lathe_q8_0_to_f32(const void *source, float *destination, size_t blocks);

// The factor is the largest magnitude divided by 127, and bytes are rounded to nearest with ties away from zero: the bits
// that ggml's own quantiser gives for finite numbers.
void lathe_f32_to_q8_0(const float *source, void *destination, size_t blocks);
