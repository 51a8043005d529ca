// Vectors of 16 numbers, for loops that are compiled for several instruction sets and chosen at run time.
#pragma once
#include "multiversioned.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

// Vectors stay inside inlined code, whatever the calling convention for them is.
#pragma clang diagnostic ignored "-Wpsabi"

enum { WIDTH = 16 };
typedef float floats __attribute__((vector_size(64)));
typedef int32_t ints __attribute__((vector_size(64)));
typedef uint32_t words __attribute__((vector_size(64)));
typedef uint16_t halves __attribute__((vector_size(32)));
typedef double doubles __attribute__((vector_size(128)));

INLINE floats all(float x) { return (floats){0} + x; }
INLINE floats multiply_add(floats a, floats b, floats c) { return __builtin_elementwise_fma(a, b, c); }

// The first `count` of 16 numbers at p; the others are zero.
INLINE floats load_floats(const float *p, size_t count) {
  floats v = {0};
  if (count >= WIDTH) memcpy(&v, p, sizeof v); else memcpy(&v, p, count * sizeof *p);
  return v;
}

INLINE void save_floats(float *p, floats v, size_t count) {
  if (count >= WIDTH) memcpy(p, &v, sizeof v); else memcpy(p, &v, count * sizeof *p);
}

INLINE floats load_bfloats(const uint16_t *p, size_t count) {
  halves h = {0};
  if (count >= WIDTH) memcpy(&h, p, sizeof h); else memcpy(&h, p, count * sizeof *p);
  return (floats)(__builtin_convertvector(h, words) << 16);
}

// Nearest even; NaN stays NaN.
INLINE void save_bfloats(uint16_t *p, floats v, size_t count) {
  words bits = (words)v, rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
  words nan = (words)((bits & 0x7fffffff) > 0x7f800000);
  halves h = __builtin_convertvector((rounded & ~nan) | (quiet & nan), halves);
  if (count >= WIDTH) memcpy(p, &h, sizeof h); else memcpy(p, &h, count * sizeof *p);
}

// e^x to about 1.5 units in the last place; outside -87...88 it stays at the nearer end.
INLINE floats exponential(floats x) {
  x = __builtin_elementwise_min(__builtin_elementwise_max(x, all(-87.0f)), all(88.0f));
  floats n = __builtin_elementwise_roundeven(x * 0x1.715476p0f);
  // ln 2 in two parts, the first short enough for n times it to be exact.
  floats r = multiply_add(n, all(-0x1.63p-1f), x);
  r = multiply_add(n, all(0x1.bd0106p-13f), r);
  floats p = all(1.0f / 5040);
  p = multiply_add(p, r, all(1.0f / 720));
  p = multiply_add(p, r, all(1.0f / 120));
  p = multiply_add(p, r, all(1.0f / 24));
  p = multiply_add(p, r, all(1.0f / 6));
  p = multiply_add(p, r, all(0.5f));
  p = multiply_add(p, r, all(1.0f));
  p = multiply_add(p, r, all(1.0f));
  ints exponent = __builtin_convertvector(n, ints);
  return (floats)((ints)p + (exponent << 23));
}

// x / (1 + e^-sx): SiLU for s = 1, the quick GELU for s = 1.702.
INLINE floats sigmoid_weighted(floats x, float s) { return x / (1.0f + exponential(-s * x)); }

// The error function after Abramowitz and Stegun 7.1.26: absolute error below 3e-7 with rounding.
INLINE floats error_function(floats x) {
  floats magnitude = __builtin_elementwise_abs(x);
  floats t = 1.0f / multiply_add(magnitude, all(0.3275911f), all(1.0f));
  floats p = all(1.061405429f);
  p = multiply_add(p, t, all(-1.453152027f));
  p = multiply_add(p, t, all(1.421413741f));
  p = multiply_add(p, t, all(-0.284496736f));
  p = multiply_add(p, t, all(0.254829592f));
  floats y = 1.0f - p * t * exponential(-magnitude * magnitude);
  return (floats)((words)y | ((words)x & 0x80000000u));
}

INLINE floats gelu(floats x) { return 0.5f * x * (1.0f + error_function(x * 0x1.6a09e6p-1f)); }
