#include "conversions.h"
#include <string.h>

#if defined(__x86_64__) && defined(__linux__)
#define MULTIVERSIONED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MULTIVERSIONED
#endif
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

// A double on its way to 16 bits is first rounded to odd: the sticky last bit keeps the second rounding
// from seeing a tie that is none. (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008.)
INLINE float round_to_odd(double d) {
  float nearest = (float)d;
  uint32_t bits = bits_of(nearest);
  double back = (double)nearest;
  double size = d < 0 ? -d : d, nearest_size = back < 0 ? -back : back;
  uint32_t truncated = nearest_size > size ? bits - 1 : bits;
  return float_of(back == d || d != d ? bits : truncated | 1);
}

MULTIVERSIONED void lathe_f16_to_f32(const void *source, float *destination, size_t count) {
  for (size_t i = 0; i < count; i++) destination[i] = widen_f16(load16(source, i));
}

MULTIVERSIONED void lathe_f16_to_f64(const void *source, double *destination, size_t count) {
  for (size_t i = 0; i < count; i++) destination[i] = (double)widen_f16(load16(source, i));
}

MULTIVERSIONED void lathe_bf16_to_f32(const void *source, float *destination, size_t count) {
  for (size_t i = 0; i < count; i++) destination[i] = widen_bf16(load16(source, i));
}

MULTIVERSIONED void lathe_bf16_to_f64(const void *source, double *destination, size_t count) {
  for (size_t i = 0; i < count; i++) destination[i] = (double)widen_bf16(load16(source, i));
}

MULTIVERSIONED void lathe_f32_to_f64(const void *source, double *destination, size_t count) {
  for (size_t i = 0; i < count; i++) {
    float f;
    memcpy(&f, (const char *)source + 4 * i, 4);
    destination[i] = (double)f;
  }
}

MULTIVERSIONED void lathe_f64_to_f32(const double *source, void *destination, size_t count) {
  for (size_t i = 0; i < count; i++) {
    float f = (float)source[i];
    memcpy((char *)destination + 4 * i, &f, 4);
  }
}

MULTIVERSIONED void lathe_f64_to_f16(const double *source, void *destination, size_t count) {
  for (size_t i = 0; i < count; i++) store16(destination, i, narrow_f16(round_to_odd(source[i])));
}

MULTIVERSIONED void lathe_f64_to_bf16(const double *source, void *destination, size_t count) {
  for (size_t i = 0; i < count; i++) store16(destination, i, narrow_bf16(round_to_odd(source[i])));
}

MULTIVERSIONED void lathe_f32_to_f16(const float *source, void *destination, size_t count) {
  for (size_t i = 0; i < count; i++) store16(destination, i, narrow_f16(source[i]));
}

MULTIVERSIONED void lathe_f32_to_bf16(const float *source, void *destination, size_t count) {
  for (size_t i = 0; i < count; i++) store16(destination, i, narrow_bf16(source[i]));
}
