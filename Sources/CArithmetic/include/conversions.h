#pragma once
#include <stddef.h>
#include <stdint.h>

// Bulk conversion between stored number formats and the arithmetic ones.
//
// Sources and destinations that hold stored bytes may be unaligned (a safetensors file promises no
// alignment). Narrowing rounds once, to nearest with ties to even; overflow gives infinity and NaN stays NaN.
// The loops are compiled for several instruction sets and the best one is chosen at load time.

void lathe_f16_to_f32(const void *source, float *destination, size_t count);
void lathe_f16_to_f64(const void *source, double *destination, size_t count);
void lathe_bf16_to_f32(const void *source, float *destination, size_t count);
void lathe_bf16_to_f64(const void *source, double *destination, size_t count);
void lathe_f32_to_f64(const void *source, double *destination, size_t count);
void lathe_f64_to_f32(const double *source, void *destination, size_t count);
void lathe_f64_to_f16(const double *source, void *destination, size_t count);
void lathe_f64_to_bf16(const double *source, void *destination, size_t count);
void lathe_f32_to_f16(const float *source, void *destination, size_t count);
void lathe_f32_to_bf16(const float *source, void *destination, size_t count);
