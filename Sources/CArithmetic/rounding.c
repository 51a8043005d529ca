#include "survival.h"

// A small float format: its mantissa bits, exponent bias, largest finite code, and whether larger numbers are clamped.
typedef struct {
  int mantissa;
  int bias;
  uint32_t largest;
  int clamps;
} layout;

INLINE layout layout_of(lathe_format format) {
  switch (format) {
  case LATHE_F16: return (layout){10, 15, 0x7bff, 0};
  case LATHE_BF16: return (layout){7, 127, 0x7f7f, 0};
  case LATHE_F8_E4M3: return (layout){3, 7, 0x7e, 1};
  case LATHE_F8_E5M2: return (layout){2, 15, 0x7b, 1};
  case LATHE_F32: break;
  }
  return (layout){23, 127, 0x7f7fffff, 0};
}

// 2^e for normal results.
INLINE float power_of_two(int e) { return float_of((uint32_t)(e + 127) << 23); }

// The magnitude of a code. Exact: every format here is part of single precision. bf16's subnormals are single
// precision's own and need no multiplication, which could flush them.
INLINE float magnitude_of(uint32_t code, layout f) {
  uint32_t bits = code << (23 - f.mantissa);
  return f.bias == 127 ? float_of(bits) : float_of(bits) * power_of_two(127 - f.bias);
}

// The largest code whose magnitude is at most |t|, not above `largest`.
INLINE uint32_t code_below(float size, layout f) {
  uint32_t bits = bits_of(size);
  uint32_t normal = (bits - ((uint32_t)(127 - f.bias) << 23)) >> (23 - f.mantissa);
  // Subnormal results are whole steps of 2^(1 − bias − mantissa).
  uint32_t small = f.bias == 127 ? bits >> (23 - f.mantissa)
                                 : (uint32_t)(int32_t)(size < 1.0f ? size * power_of_two(f.bias - 1 + f.mantissa) : 0.0f);
  uint32_t code = f.bias != 127 && size < power_of_two(1 - f.bias) ? small : normal;
  return code > f.largest ? f.largest : code;
}

INLINE uint32_t code_nearest(float size, layout f) {
  uint32_t bits = bits_of(size), shift = 23 - f.mantissa, half = (1u << shift) / 2;
  uint32_t odd = bits >> shift & 1;
  uint32_t normal = (bits + half - 1 + odd - ((uint32_t)(127 - f.bias) << 23)) >> shift;
  // Adding this number makes the hardware round at the subnormal step.
  float anchor = f.bias == 127 ? 0 : power_of_two(24 - f.bias - f.mantissa);
  uint32_t small = bits_of(size + anchor) - bits_of(anchor);
  return f.bias != 127 && size < power_of_two(1 - f.bias) ? small : normal;
}

// The bits of the smallest magnitude whose nearest number would be beyond the largest.
INLINE uint32_t limit_of(layout f) {
  uint32_t largest = bits_of(magnitude_of(f.largest, f)), half = (1u << (23 - f.mantissa)) / 2;
  return half == 0 ? largest + 1 : largest + half + !(f.largest & 1);
}

// What stands for such a magnitude: the largest number, or infinity; NaN stays NaN.
INLINE uint32_t code_beyond(float size, layout f) {
  uint32_t nan = f.clamps ? 0x7f : f.largest + 1 + (1u << (f.mantissa - 1));
  if (f.clamps) return size - size == 0 ? f.largest : nan;
  return size == size ? f.largest + 1 : nan;
}

// An all-zero row of an 8-bit weight may have the scale 0.
INLINE float inverse_of(float scale) { return scale == 0 ? 0 : 1 / scale; }

INLINE void store(void *out, size_t i, uint32_t code, uint32_t sign, lathe_format format) {
  switch (format) {
  case LATHE_F32: {
    uint32_t bits = code | sign;
    memcpy((char *)out + 4 * i, &bits, 4);
    break;
  }
  case LATHE_F16:
  case LATHE_BF16: store16(out, i, (uint16_t)(code | sign >> 16)); break;
  default: ((uint8_t *)out)[i] = (uint8_t)(code | sign >> 24);
  }
}

INLINE void count_in(lanes *sums, size_t lane, float w, float d, float t, float q, int clamped) {
  // The last but one is also true for NaN.
  count_change(sums, lane, d, q - w, q - t, q != w, !(q - q == 0), clamped);
}

// Rounds one number. `draw` is a uniform 24-bit number, or negative for the nearest.
INLINE float rounded(float w, float d, float scale, float inverse, void *out, size_t i, int32_t draw,
                     lathe_format format, int *clamped) {
  float t = w + d;
  *clamped = 0;
  if (format == LATHE_F32) {
    memcpy((char *)out + 4 * i, &t, 4);
    return t;
  }
  layout f = layout_of(format);
  float stored = t * inverse;
  uint32_t sign = bits_of(stored) & 0x80000000u;
  float size = float_of(bits_of(stored) & 0x7fffffff);
  uint32_t code;
  if (draw < 0) {
    code = code_nearest(size, f);
  } else {
    uint32_t below = code_below(size, f), above = below < f.largest ? below + 1 : below;
    float low = magnitude_of(below, f), high = magnitude_of(above, f);
    float step = high > low ? high - low : 1.0f;
    code = (float)draw < (size - low) / step * 0x1p24f ? above : below;
  }
  int isTooLarge = bits_of(size) >= limit_of(f), isFinite = size - size == 0;
  code = isTooLarge ? code_beyond(size, f) : code;
  *clamped = isTooLarge && isFinite && f.clamps;
  store(out, i, code, sign, format);
  float value = magnitude_of(code, f) * scale;
  value = isFinite && (f.clamps || !isTooLarge) ? value : float_of(0x7fc00000u);
  return float_of(bits_of(value) | sign);
}

INLINE void round_one(float w, float d, float scale, float inverse, void *out, size_t i, int32_t draw,
                      lathe_format format, lanes *block, size_t lane) {
  int clamped;
  float q = rounded(w, d, scale, inverse, out, i, draw, format, &clamped);
  count_in(block, lane, w, d, w + d, q, clamped);
}

// Called with a constant format, so that each gets loops of its own.
INLINE void round_all(const float *w, const float *d, float scale, void *out, size_t count, int isRandom, uint64_t seed,
                      uint64_t first, lathe_survival *sums, lathe_format format) {
  float inverse = inverse_of(scale);
#define EACH(k, lane, block)                                                                                           \
  round_one(w[k], d[k], scale, inverse, out, k, isRandom ? drawn(seed, first + (k)) : -1, format, block, lane)
  FOR_EACH_COUNTED(count, sums, EACH)
#undef EACH
}

#define FOR_EACH_FORMAT(CALL)                                                                                          \
  switch (format) {                                                                                                    \
  case LATHE_F32: CALL(LATHE_F32); break;                                                                              \
  case LATHE_F16: CALL(LATHE_F16); break;                                                                              \
  case LATHE_BF16: CALL(LATHE_BF16); break;                                                                            \
  case LATHE_F8_E4M3: CALL(LATHE_F8_E4M3); break;                                                                      \
  case LATHE_F8_E5M2: CALL(LATHE_F8_E5M2); break;                                                                      \
  }

MULTIVERSIONED void lathe_round_nearest(lathe_format format, const float *w, const float *d, float scale, void *out,
                                        size_t count, lathe_survival *sums) {
#define CALL(F) round_all(w, d, scale, out, count, 0, 0, 0, sums, F)
  FOR_EACH_FORMAT(CALL)
#undef CALL
}

MULTIVERSIONED void lathe_round_stochastic(lathe_format format, const float *w, const float *d, float scale, void *out,
                                           size_t count, uint64_t seed, uint64_t first, lathe_survival *sums) {
#define CALL(F) round_all(w, d, scale, out, count, 1, seed, first, sums, F)
  FOR_EACH_FORMAT(CALL)
#undef CALL
}

// Greedy noise shaping: each element takes the neighbour that keeps ‖(Σ e·v)‖² + λ'·Σ e² smallest so far; the state
// holds Σ e·v for each row, and a weight is ‖v‖² + λ'. The rows go side by side through the lanes.
INLINE void shape_rows(const float *w, const float *d, const float *scales, void *out, size_t rows, size_t columns,
                       const float *v, const float *weights, size_t rank, lathe_survival *sums, lathe_format format) {
  layout f = layout_of(format);
  uint32_t limit = limit_of(f);
  row_vector state[rank];
  memset(state, 0, sizeof state);
  // Rows that are not there are zeros.
  float base[ROWS] = {0}, delta[ROWS] = {0}, scale[ROWS], inverse[ROWS];
  for (size_t row = 0; row < ROWS; row++) {
    scale[row] = row < rows ? scales[row] : 1;
    inverse[row] = inverse_of(scale[row]);
  }
  lanes block;
  memset(&block, 0, sizeof block);
  for (size_t j = 0; j < columns; j++) {
    const float *direction = v + j * rank;
    for (size_t row = 0; row < rows; row++) {
      base[row] = w[row * columns + j];
      delta[row] = d[row * columns + j];
    }
    row_vector response, error;
    respond(state, direction, rank, &response);
    uint32_t codes[ROWS];
    for (size_t row = 0; row < ROWS; row++) {
      float t = base[row] + delta[row], stored = t * inverse[row];
      uint32_t sign = bits_of(stored) & 0x80000000u;
      float size = float_of(bits_of(stored) & 0x7fffffff), signed_scale = float_of(bits_of(scale[row]) | sign);
      uint32_t below = code_below(size, f), above = below < f.largest ? below + 1 : below;
      float low = magnitude_of(below, f), high = magnitude_of(above, f);
      float to_low = (low - size) * signed_scale, to_high = (high - size) * signed_scale;
      float low_cost = to_low * (2 * response[row] + to_low * weights[j]);
      float high_cost = to_high * (2 * response[row] + to_high * weights[j]);
      int is_high = high_cost < low_cost, is_too_large = bits_of(size) >= limit;
      int is_finite = size - size == 0 && (f.clamps || !is_too_large);
      codes[row] = (is_too_large ? code_beyond(size, f) : is_high ? above : below) | sign;
      error[row] = is_finite ? (is_high ? to_high : to_low) : 0;
      float value = (is_high ? high : low) * signed_scale;
      value = is_finite ? value : float_of(0x7fc00000u);
      count_in(&block, row, base[row], delta[row], t, value, is_finite && is_too_large);
    }
    for (size_t k = 0; k < rank; k++) state[k] += error * direction[k];
    for (size_t row = 0; row < rows; row++) {
      store(out, row * columns + j, codes[row] & 0x7fffffff, codes[row] & 0x80000000u, format);
    }
    if (j % 64 == 63 || j + 1 == columns) {
      add_lanes(&block, sums);
      memset(&block, 0, sizeof block);
    }
  }
}

MULTIVERSIONED void lathe_round_shaped(lathe_format format, const float *w, const float *d, const float *scales,
                                       void *out, size_t rows, size_t columns, const float *v,
                                       const float *weights, size_t rank, lathe_survival *sums) {
#define CALL(F) shape_rows(w, d, scales, out, rows, columns, v, weights, rank, sums, F)
  FOR_EACH_FORMAT(CALL)
#undef CALL
}

MULTIVERSIONED float lathe_largest_sum(const float *w, const float *d, size_t count) {
  float largest[LANES] = {0};
  size_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    for (size_t lane = 0; lane < LANES; lane++) {
      float size = float_of(bits_of(w[i + lane] + d[i + lane]) & 0x7fffffff);
      largest[lane] = size > largest[lane] ? size : largest[lane];
    }
  }
  for (; i < count; i++) {
    float size = float_of(bits_of(w[i] + d[i]) & 0x7fffffff);
    largest[0] = size > largest[0] ? size : largest[0];
  }
  float result = 0;
  for (int lane = 0; lane < LANES; lane++) result = largest[lane] > result ? largest[lane] : result;
  return result;
}

INLINE uint32_t load_code(const void *source, size_t i, lathe_format format) {
  if (format == LATHE_F32) {
    uint32_t bits;
    memcpy(&bits, (const char *)source + 4 * i, 4);
    return bits;
  }
  return format == LATHE_F16 || format == LATHE_BF16 ? load16(source, i) : ((const uint8_t *)source)[i];
}

INLINE float widened(uint32_t code, lathe_format format) {
  switch (format) {
  case LATHE_F32: return float_of(code);
  case LATHE_F16: return widen_f16((uint16_t)code);
  case LATHE_BF16: return widen_bf16((uint16_t)code);
  case LATHE_F8_E5M2: return widen_f16((uint16_t)(code << 8));
  case LATHE_F8_E4M3: break;
  }
  uint32_t size = code & 0x7f;
  float value = size == 0x7f ? float_of(0x7fc00000u) : magnitude_of(size, layout_of(LATHE_F8_E4M3));
  return float_of(bits_of(value) | (code & 0x80) << 24);
}

MULTIVERSIONED void lathe_widen(lathe_format format, const void *source, float scale, float *destination,
                                size_t count) {
#define CALL(F)                                                                                                        \
  for (size_t i = 0; i < count; i++) destination[i] = widened(load_code(source, i, F), F) * scale
  FOR_EACH_FORMAT(CALL)
#undef CALL
}
