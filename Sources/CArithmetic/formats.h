// Shared by the conversion loops: nothing here is seen outside.
#pragma once
#include "multiversioned.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

INLINE float float_of(uint32_t bits) { float f; memcpy(&f, &bits, 4); return f; }
INLINE uint32_t bits_of(float f) { uint32_t bits; memcpy(&bits, &f, 4); return bits; }
INLINE uint16_t load16(const void *base, size_t i) { uint16_t h; memcpy(&h, (const char *)base + 2 * i, 2); return h; }
INLINE void store16(void *base, size_t i, uint16_t h) { memcpy((char *)base + 2 * i, &h, 2); }

// Moving the exponent field up and multiplying by 2^112 rebuilds normal and subnormal halves exactly;
// exponent 31 (infinity, NaN) needs the full exponent put back by hand.
INLINE float widen_f16(uint16_t h) {
  uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13;
  uint32_t finite = bits_of(float_of(magnitude) * 0x1p112f);
  uint32_t special = magnitude | 0x7f800000u;
  uint32_t bits = (h & 0x7c00) == 0x7c00 ? special : finite;
  return float_of(bits | (uint32_t)(h & 0x8000) << 16);
}

INLINE float widen_bf16(uint16_t h) { return float_of((uint32_t)h << 16); }

// Nearest even. Normal results: add half of the dropped field, minus one when the kept part is even.
// Subnormal results: adding 0.5 makes the hardware round at 2^-24, the subnormal step.
INLINE uint16_t narrow_f16(float f) {
  uint32_t bits = bits_of(f), sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  uint32_t normal = (magnitude + 0xfff + (magnitude >> 13 & 1) - 0x38000000u) >> 13;
  uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
  uint32_t special = magnitude > 0x7f800000u ? 0x7e00 | (magnitude >> 13 & 0x3ff) : 0x7c00;
  uint32_t result = magnitude < 0x38800000u ? subnormal : normal;
  result = magnitude >= 0x477ff000u ? special : result;
  return (uint16_t)(sign | result);
}

INLINE uint16_t narrow_bf16(float f) {
  uint32_t bits = bits_of(f);
  uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  uint32_t quiet = bits >> 16 | 0x40;
  return (uint16_t)((bits & 0x7fffffff) > 0x7f800000u ? quiet : rounded);
}
