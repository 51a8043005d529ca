#include "encode.h"
#include "quantised.h"
#include "tables.h"

#pragma STDC FP_CONTRACT OFF

enum { SUPER = 256, MOST = 32 };

// The nearest whole number, ties to even, of one below 2^22.
INLINE int nearest(float x) { return (int)((x + 12582912.0f) - 12582912.0f); }

INLINE int clamped(int x, int low, int high) { return x < low ? low : x > high ? high : x; }

INLINE float size_of(float x) { return float_of(bits_of(x) & 0x7fffffff); }

// The first number of the largest magnitude.
INLINE float extreme_of(const float *x, int n) {
  float largest = 0, extreme = 0;
  for (int i = 0; i < n; i++) {
    float size = size_of(x[i]);
    extreme = size > largest ? x[i] : extreme;
    largest = size > largest ? size : largest;
  }
  return extreme;
}

// What is smaller counts as nothing.
INLINE int is_nothing(float extreme) { return size_of(extreme) < 1e-15f; }

// MARK: Blocks of 32

MULTIVERSIONED void lathe_encode_signed(const float *x, int codes, size_t bytes, uint8_t *blocks, uint8_t *out,
                                        size_t count) {
  for (size_t b = 0; b < count; b++, x += 32, blocks += bytes, out += 32) {
    float step = extreme_of(x, 32) / (float)(-codes / 2), inverse = step != 0 ? 1 / step : 0;
    store16(blocks, 0, narrow_f16(step));
    for (int i = 0; i < 32; i++) {
      int code = (int)(x[i] * inverse + ((float)(codes / 2) + 0.5f));
      out[i] = (uint8_t)(code < codes ? code : codes - 1);
    }
  }
}

MULTIVERSIONED void lathe_encode_affine(const float *x, int codes, size_t bytes, uint8_t *blocks, uint8_t *out,
                                        size_t count) {
  for (size_t b = 0; b < count; b++, x += 32, blocks += bytes, out += 32) {
    float least = x[0], most = x[0];
    for (int i = 1; i < 32; i++) {
      least = x[i] < least ? x[i] : least;
      most = x[i] > most ? x[i] : most;
    }
    float step = (most - least) / (float)(codes - 1), inverse = step != 0 ? 1 / step : 0;
    store16(blocks, 0, narrow_f16(step));
    store16(blocks, 1, narrow_f16(least));
    for (int i = 0; i < 32; i++) {
      int code = (int)((x[i] - least) * inverse + 0.5f);
      out[i] = (uint8_t)(code < codes ? code : codes - 1);
    }
  }
}

MULTIVERSIONED void lathe_encode_mxfp4(const float *x, uint8_t *blocks, uint8_t *out, size_t count) {
  for (size_t b = 0; b < count; b++, x += 32, blocks += 17, out += 32) {
    float largest = size_of(extreme_of(x, 32));
    // The exponent's field is its power of two plus 127; four is the largest power of two among the values.
    int field = (int)(bits_of(largest) >> 23) - 2;
    blocks[0] = (uint8_t)(field > 0 ? field : 0);
    float step = half_exponent_of(blocks[0]);
    for (int i = 0; i < 32; i++) {
      int best = 0;
      float least = size_of(doubled[0] * step - x[i]);
      for (int c = 1; c < 16; c++) {
        float off = size_of(doubled[c] * step - x[i]);
        best = off < least ? c : best;
        least = off < least ? off : least;
      }
      out[i] = (uint8_t)best;
    }
  }
}

// The code whose value is nearest; the higher one of two.
INLINE int curved_code(float x) {
  int code = 0;
  for (int c = 0; c < 15; c++) code += !(x - lathe_curve[c] < lathe_curve[c + 1] - x);
  return code;
}

// A step for 32 numbers on the curve.
INLINE float fit_curve(const float *x) {
  float extreme = extreme_of(x, 32);
  if (is_nothing(extreme)) return 0;
  float step = 0, best = 0;
  for (int k = -8; k <= 7; k++) {
    float inverse = k == -8 ? 1 / (-extreme / lathe_curve[0]) : ((float)k + lathe_curve[0]) / extreme;
    float qx = 0, qq = 0;
    for (int i = 0; i < 32; i++) {
      float q = lathe_curve[curved_code(inverse * x[i])], weight = x[i] * x[i];
      qx += weight * q * x[i];
      qq += weight * q * q;
    }
    if (k == -8 || (qq > 0 && qx * qx > best * qq)) {
      step = qx / qq;
      best = step * qx;
    }
  }
  return step;
}

MULTIVERSIONED void lathe_encode_iq4_nl(const float *x, uint8_t *blocks, uint8_t *out, size_t count) {
  for (size_t b = 0; b < count; b++, x += 32, blocks += 18, out += 32) {
    float step = fit_curve(x), inverse = step != 0 ? 1 / step : 0;
    store16(blocks, 0, narrow_f16(step));
    for (int i = 0; i < 32; i++) out[i] = (uint8_t)curved_code(inverse * x[i]);
  }
}

MULTIVERSIONED void lathe_encode_iq4_xs(const float *x, uint8_t *blocks, uint8_t *out, size_t count) {
  for (size_t b = 0; b < count; b++, x += SUPER, blocks += 136, out += SUPER) {
    float steps[8];
    for (int g = 0; g < 8; g++) steps[g] = fit_curve(x + 32 * g);
    float whole = -extreme_of(steps, 8) / 32, inverse = whole != 0 ? 1 / whole : 0;
    store16(blocks, 0, narrow_f16(whole));
    unsigned high = 0;
    for (int g = 0; g < 8; g++) {
      int scale = clamped(nearest(inverse * steps[g]), -32, 31);
      float step = whole * (float)scale, own = step != 0 ? 1 / step : 0;
      for (int i = 0; i < 32; i++) out[32 * g + i] = (uint8_t)curved_code(own * x[32 * g + i]);
      unsigned stored = (unsigned)(scale + 32);
      blocks[4 + g / 2] |= (uint8_t)((stored & 15) << 4 * (g % 2));
      high |= stored >> 4 << 2 * g;
    }
    store16(blocks, 1, (uint16_t)high);
  }
}

// MARK: Super-blocks of groups with a least number

// How a group of numbers is fitted: codes to `most`, and the candidates for the step around the plain one.
typedef struct {
  int n, most, candidates, is_absolute;
  float first, next;
} affine_fit;

// step · code + least for each number; the least is never above 0, and is returned with its sign turned.
INLINE float fit_affine(const float *x, const float *weights, affine_fit f, uint8_t *codes, float *least) {
  float low = x[0], high = x[0], all = 0, all_x = 0;
  for (int i = 0; i < f.n; i++) {
    low = x[i] < low ? x[i] : low;
    high = x[i] > high ? x[i] : high;
    all += weights[i];
    all_x += weights[i] * x[i];
  }
  if (low > 0) low = 0;
  for (int i = 0; i < f.n; i++) codes[i] = 0;
  *least = -low;
  if (high == low) return 0;
  float scale = 0, best = 0;
  for (int k = -1; k <= f.candidates; k++) {
    float inverse = k < 0 ? (float)f.most / (high - low) : (f.first + f.next * (float)k + (float)f.most) / (high - low);
    uint8_t own[MOST];
    float l = 0, ll = 0, xl = 0;
    for (int i = 0; i < f.n; i++) {
      int code = clamped(nearest(inverse * (x[i] - low)), 0, f.most);
      own[i] = (uint8_t)code;
      l += weights[i] * (float)code;
      ll += weights[i] * (float)code * (float)code;
      xl += weights[i] * (float)code * x[i];
    }
    float own_scale, own_low;
    if (k < 0) {
      own_scale = 1 / inverse;
      own_low = low;
    } else {
      float determinant = all * ll - l * l;
      if (!(determinant > 0)) continue;
      own_scale = (all * xl - all_x * l) / determinant;
      own_low = (ll * all_x - l * xl) / determinant;
      if (own_low > 0) {
        own_low = 0;
        own_scale = xl / ll;
      }
    }
    float error = 0;
    for (int i = 0; i < f.n; i++) {
      float off = own_scale * (float)own[i] + own_low - x[i];
      error += weights[i] * (f.is_absolute ? size_of(off) : off * off);
    }
    if (k >= 0 && !(error < best)) continue;
    for (int i = 0; i < f.n; i++) codes[i] = own[i];
    best = error;
    scale = own_scale;
    low = own_low;
  }
  *least = -low;
  return scale;
}

// Codes anew with the factors as they are stored.
INLINE void settle_affine(const float *x, int n, int most, float step, float least, uint8_t *codes) {
  if (step == 0) return;
  for (int i = 0; i < n; i++) codes[i] = (uint8_t)clamped(nearest((x[i] + least) / step), 0, most);
}

// The groups of a super-block, and the largest of what they found.
typedef struct {
  float steps[16], leasts[16], most_step, most_least;
} affine_groups;

// A number weighs its magnitude, plus the group's root mean square where that is asked for.
INLINE affine_groups fit_groups(const float *x, affine_fit f, int adds_mean, uint8_t *codes) {
  affine_groups found = {0};
  for (int g = 0; g < SUPER / f.n; g++) {
    const float *own = x + f.n * g;
    float weights[MOST], squares = 0;
    for (int i = 0; i < f.n; i++) squares += own[i] * own[i];
    float mean = adds_mean ? __builtin_sqrtf(squares / (float)f.n) : 0;
    for (int i = 0; i < f.n; i++) weights[i] = mean + size_of(own[i]);
    found.steps[g] = fit_affine(own, weights, f, codes + f.n * g, found.leasts + g);
    found.most_step = found.steps[g] > found.most_step ? found.steps[g] : found.most_step;
    found.most_least = found.leasts[g] > found.most_least ? found.leasts[g] : found.most_least;
  }
  return found;
}

// How often each of `count` levels up to the largest number goes into it; nothing where that is nothing.
INLINE float levels_in(float most, int count) { return most > 0 ? (float)count / most : 0; }

MULTIVERSIONED void lathe_encode_q2_k(const float *x, uint8_t *blocks, uint8_t *out, size_t count) {
  affine_fit fit = {16, 3, 15, 1, -0.5f, 0.1f};
  for (size_t b = 0; b < count; b++, x += SUPER, blocks += 84, out += SUPER) {
    affine_groups found = fit_groups(x, fit, 0, out);
    float by_step = levels_in(found.most_step, 15), by_least = levels_in(found.most_least, 15);
    uint16_t d = narrow_f16(found.most_step / 15), dm = narrow_f16(found.most_least / 15);
    store16(blocks + 80, 0, d);
    store16(blocks + 82, 0, dm);
    for (int j = 0; j < 16; j++) {
      int scale = clamped(nearest(by_step * found.steps[j]), 0, 15);
      int least = clamped(nearest(by_least * found.leasts[j]), 0, 15);
      blocks[j] = (uint8_t)(scale | least << 4);
      settle_affine(x + 16 * j, 16, 3, widen_f16(d) * (float)scale, widen_f16(dm) * (float)least, out + 16 * j);
    }
  }
}

// Q4_K and Q5_K.
INLINE void encode_six_bits(const float *x, affine_fit fit, size_t bytes, uint8_t *blocks, uint8_t *out, size_t count) {
  for (size_t b = 0; b < count; b++, x += SUPER, blocks += bytes, out += SUPER) {
    affine_groups found = fit_groups(x, fit, 1, out);
    float by_step = levels_in(found.most_step, 63), by_least = levels_in(found.most_least, 63);
    uint16_t d = narrow_f16(found.most_step / 63), dm = narrow_f16(found.most_least / 63);
    store16(blocks, 0, d);
    store16(blocks, 1, dm);
    uint8_t *packed = blocks + 4;
    for (int g = 0; g < 8; g++) {
      int scale = clamped(nearest(by_step * found.steps[g]), 0, 63);
      int least = clamped(nearest(by_least * found.leasts[g]), 0, 63);
      if (g < 4) {
        packed[g] |= (uint8_t)scale;
        packed[g + 4] |= (uint8_t)least;
      } else {
        packed[g + 4] |= (uint8_t)((scale & 15) | (least & 15) << 4);
        packed[g - 4] |= (uint8_t)(scale >> 4 << 6);
        packed[g] |= (uint8_t)(least >> 4 << 6);
      }
      settle_affine(x + 32 * g, 32, fit.most, widen_f16(d) * (float)scale, widen_f16(dm) * (float)least, out + 32 * g);
    }
  }
}

MULTIVERSIONED void lathe_encode_q4_k(const float *x, uint8_t *blocks, uint8_t *out, size_t count) {
  encode_six_bits(x, (affine_fit){32, 15, 20, 0, -1.0f, 0.1f}, 144, blocks, out, count);
}

MULTIVERSIONED void lathe_encode_q5_k(const float *x, uint8_t *blocks, uint8_t *out, size_t count) {
  encode_six_bits(x, (affine_fit){32, 31, 15, 0, -0.5f, 0.1f}, 176, blocks, out, count);
}

// MARK: Super-blocks of groups around zero

// Codes from −half to half − 1 of 16 numbers anew, with the step as it is stored.
INLINE void settle_signed(const float *x, int half, float step, uint8_t *codes) {
  if (step == 0) return;
  for (int i = 0; i < 16; i++) codes[i] = (uint8_t)(clamped(nearest(x[i] / step), -half, half - 1) + half);
}

INLINE float fit_signed(const float *x, int half, uint8_t *codes) {
  float extreme = extreme_of(x, 16), scale = 0, best = 0;
  for (int i = 0; i < 16; i++) codes[i] = 0;
  if (is_nothing(extreme)) return 0;
  for (int k = -10; k <= 9; k++) {
    if (k == 0) continue;
    // The first candidate is the plain one.
    float inverse = k == -10 ? (float)-half / extreme : -((float)half + 0.1f * (float)k) / extreme;
    uint8_t own[16];
    float lx = 0, ll = 0;
    for (int i = 0; i < 16; i++) {
      int code = clamped(nearest(inverse * x[i]), -half, half - 1);
      float weight = x[i] * x[i];
      own[i] = (uint8_t)(code + half);
      lx += weight * x[i] * (float)code;
      ll += weight * (float)code * (float)code;
    }
    if (k > -10 && !(ll > 0 && lx * lx > best * ll)) continue;
    for (int i = 0; i < 16; i++) codes[i] = own[i];
    scale = ll > 0 ? lx / ll : 0;
    best = scale * lx;
  }
  return scale;
}

MULTIVERSIONED void lathe_encode_q6_k(const float *x, uint8_t *blocks, uint8_t *out, size_t count) {
  for (size_t b = 0; b < count; b++, x += SUPER, blocks += 210, out += SUPER) {
    float steps[16];
    for (int j = 0; j < 16; j++) steps[j] = fit_signed(x + 16 * j, 32, out + 16 * j);
    float extreme = extreme_of(steps, 16);
    if (is_nothing(extreme)) {
      // A block of nothing is zeros, codes and all.
      for (int i = 0; i < SUPER; i++) out[i] = 0;
      continue;
    }
    float inverse = -128 / extreme;
    uint16_t d = narrow_f16(1 / inverse);
    store16(blocks + 208, 0, d);
    for (int j = 0; j < 16; j++) {
      int scale = nearest(inverse * steps[j]);
      scale = scale < 127 ? scale : 127;
      blocks[192 + j] = (uint8_t)(int8_t)scale;
      settle_signed(x + 16 * j, 32, widen_f16(d) * (float)scale, out + 16 * j);
    }
  }
}

// Codes from −4 to 3, improved one after the other.
INLINE float fit_three_bits(const float *x, uint8_t *codes) {
  float extreme = extreme_of(x, 16);
  for (int i = 0; i < 16; i++) codes[i] = 0;
  if (is_nothing(extreme)) return 0;
  float inverse = -4 / extreme, lx = 0, ll = 0;
  int own[16];
  for (int i = 0; i < 16; i++) {
    float weight = x[i] * x[i];
    own[i] = clamped(nearest(inverse * x[i]), -4, 3);
    lx += weight * x[i] * (float)own[i];
    ll += weight * (float)own[i] * (float)own[i];
  }
  for (int pass = 0; pass < 5; pass++) {
    int changes = 0;
    for (int i = 0; i < 16; i++) {
      float weight = x[i] * x[i], other_lx = lx - weight * x[i] * (float)own[i];
      if (!(other_lx > 0)) continue;
      float other_ll = ll - weight * (float)own[i] * (float)own[i];
      int code = clamped(nearest(x[i] * other_ll / other_lx), -4, 3);
      if (code == own[i]) continue;
      other_lx += weight * x[i] * (float)code;
      other_ll += weight * (float)code * (float)code;
      if (other_ll > 0 && other_lx * other_lx * ll > lx * lx * other_ll) {
        own[i] = code;
        lx = other_lx;
        ll = other_ll;
        changes++;
      }
    }
    if (changes == 0) break;
  }
  for (int i = 0; i < 16; i++) codes[i] = (uint8_t)(own[i] + 4);
  return ll > 0 ? lx / ll : 0;
}

MULTIVERSIONED void lathe_encode_q3_k(const float *x, uint8_t *blocks, uint8_t *out, size_t count) {
  for (size_t b = 0; b < count; b++, x += SUPER, blocks += 110, out += SUPER) {
    float steps[16];
    for (int j = 0; j < 16; j++) steps[j] = fit_three_bits(x + 16 * j, out + 16 * j);
    float extreme = extreme_of(steps, 16);
    if (extreme == 0) continue;
    float inverse = -32 / extreme;
    uint16_t d = narrow_f16(1 / inverse);
    store16(blocks + 108, 0, d);
    uint8_t *packed = blocks + 96;
    for (int j = 0; j < 16; j++) {
      int scale = clamped(nearest(inverse * steps[j]), -32, 31), stored = scale + 32;
      packed[j % 8] |= (uint8_t)((stored & 15) << 4 * (j / 8));
      packed[8 + j % 4] |= (uint8_t)(stored >> 4 << 2 * (j / 4));
      settle_signed(x + 16 * j, 4, widen_f16(d) * (float)scale, out + 16 * j);
    }
  }
}
