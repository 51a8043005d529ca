#include "conversions.h"
#include "formats.h"

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
