#include "quantised.h"
#include "formats.h"
#include "tables.h"

// A product is rounded before anything is subtracted from it, whatever instructions there are.
#pragma STDC FP_CONTRACT OFF

// MARK: Codes with a table

MULTIVERSIONED void lathe_decode_bytes(const uint8_t *codes, const float *table, float step, float *destination,
                                       size_t count) {
  for (size_t i = 0; i < count; i++) destination[i] = table[codes[i]] * step;
}

MULTIVERSIONED void lathe_decode_integers(const int8_t *codes, float step, float *destination, size_t count) {
  for (size_t i = 0; i < count; i++) destination[i] = (float)codes[i] * step;
}

MULTIVERSIONED void lathe_decode_nibbles(const uint8_t *codes, size_t first, int even_is_high, const float *table,
                                         float step, float offset, float *destination, size_t count) {
  float values[16];
  for (int c = 0; c < 16; c++) values[c] = table[c] * step - offset;
  unsigned even = even_is_high ? 4 : 0, odd = 4 - even;
  size_t i = 0;
  if (first % 2 && count > 0) {
    destination[0] = values[codes[first / 2] >> odd & 15];
    i = 1;
  }
  const uint8_t *pairs = codes + (first + i) / 2;
  size_t whole = (count - i) / 2;
  float *target = destination + i;
  for (size_t k = 0; k < whole; k++) {
    target[2 * k] = values[pairs[k] >> even & 15];
    target[2 * k + 1] = values[pairs[k] >> odd & 15];
  }
  if (i + 2 * whole < count) target[2 * whole] = values[pairs[whole] >> even & 15];
}

// MARK: Blocks of 32

INLINE float half_at(const uint8_t *p) { return widen_f16(load16(p, 0)); }

MULTIVERSIONED void lathe_decode_q4_0(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 18, destination += 32) {
    float d = half_at(source);
    for (int i = 0; i < 16; i++) {
      destination[i] = (float)((source[2 + i] & 15) - 8) * d;
      destination[16 + i] = (float)((source[2 + i] >> 4) - 8) * d;
    }
  }
}

MULTIVERSIONED void lathe_decode_q4_1(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 20, destination += 32) {
    float d = half_at(source), m = half_at(source + 2);
    for (int i = 0; i < 16; i++) {
      destination[i] = (float)(source[4 + i] & 15) * d + m;
      destination[16 + i] = (float)(source[4 + i] >> 4) * d + m;
    }
  }
}

INLINE uint32_t load32(const uint8_t *p) { uint32_t bits; memcpy(&bits, p, 4); return bits; }

MULTIVERSIONED void lathe_decode_q5_0(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 22, destination += 32) {
    float d = half_at(source);
    uint32_t high = load32(source + 2);
    for (int i = 0; i < 16; i++) {
      destination[i] = (float)((int)((source[6 + i] & 15) | (high >> i & 1) << 4) - 16) * d;
      destination[16 + i] = (float)((int)((source[6 + i] >> 4) | (high >> (16 + i) & 1) << 4) - 16) * d;
    }
  }
}

MULTIVERSIONED void lathe_decode_q5_1(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 24, destination += 32) {
    float d = half_at(source), m = half_at(source + 2);
    uint32_t high = load32(source + 4);
    for (int i = 0; i < 16; i++) {
      destination[i] = (float)(int)((source[8 + i] & 15) | (high >> i & 1) << 4) * d + m;
      destination[16 + i] = (float)(int)((source[8 + i] >> 4) | (high >> (16 + i) & 1) << 4) * d + m;
    }
  }
}

MULTIVERSIONED void lathe_decode_iq4_nl(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 18, destination += 32) {
    float d = half_at(source);
    for (int i = 0; i < 16; i++) {
      destination[i] = lathe_curve[source[2 + i] & 15] * d;
      destination[16 + i] = lathe_curve[source[2 + i] >> 4] * d;
    }
  }
}

INLINE float mxfp4_step(const uint8_t *block) {
  return block[0] == 255 ? float_of(0x7fc00000u) : half_exponent_of(block[0]);
}

MULTIVERSIONED void lathe_decode_mxfp4(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 17, destination += 32) {
    float d = mxfp4_step(source);
    for (int i = 0; i < 16; i++) {
      destination[i] = doubled[source[1 + i] & 15] * d;
      destination[16 + i] = doubled[source[1 + i] >> 4] * d;
    }
  }
}

// Of group g of four.
INLINE float nvfp4_step(const uint8_t *block, int g) {
  // E4M3 without a sign; the code that is NaN elsewhere counts as 0 here.
  uint32_t code = block[g] & 0x7f;
  float scale = code == 0x7f ? 0 : code < 8 ? (float)code * 0x1p-9f : float_of((code << 20) + 0x3c000000u);
  return scale * 0.5f;
}

MULTIVERSIONED void lathe_decode_nvfp4(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 36, destination += 64) {
    for (int g = 0; g < 4; g++) {
      float d = nvfp4_step(source, g);
      for (int i = 0; i < 8; i++) {
        uint8_t pair = source[4 + 8 * g + i];
        destination[16 * g + i] = doubled[pair & 15] * d;
        destination[16 * g + 8 + i] = doubled[pair >> 4] * d;
      }
    }
  }
}

// MARK: Super-blocks of 256

MULTIVERSIONED void lathe_decode_q2_k(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 84, destination += 256) {
    float d = half_at(source + 80), dm = half_at(source + 82);
    for (int j = 0; j < 16; j++) {
      float step = d * (float)(source[j] & 15), least = dm * (float)(source[j] >> 4);
      const uint8_t *codes = source + 16 + 32 * (j / 8) + 16 * (j % 2);
      unsigned shift = (unsigned)(2 * (j % 8 / 2));
      for (int i = 0; i < 16; i++) destination[16 * j + i] = (float)(codes[i] >> shift & 3) * step - least;
    }
  }
}

// Of group j of sixteen: six bits, four of them in one place and two in another.
INLINE float q3_k_step(const uint8_t *block, int j) {
  const uint8_t *scales = block + 96;
  int low = scales[j % 8] >> 4 * (j / 8) & 15, high = scales[8 + j % 4] >> 2 * (j / 4) & 3;
  return half_at(block + 108) * (float)((low | high << 4) - 32);
}

MULTIVERSIONED void lathe_decode_q3_k(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 110, destination += 256) {
    for (int j = 0; j < 16; j++) {
      float step = q3_k_step(source, j);
      const uint8_t *codes = source + 32 + 32 * (j / 8) + 16 * (j % 2), *mask = source + 16 * (j % 2);
      unsigned shift = (unsigned)(2 * (j % 8 / 2)), bit = (unsigned)(j / 2);
      for (int i = 0; i < 16; i++) {
        int code = (codes[i] >> shift & 3) - ((mask[i] >> bit & 1) ? 0 : 4);
        destination[16 * j + i] = (float)code * step;
      }
    }
  }
}

// The scale and the minimum of group g of eight, six bits each in twelve bytes.
INLINE void scale_and_minimum(const uint8_t *s, int g, float *scale, float *minimum) {
  int sc = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | (s[g - 4] >> 6) << 4;
  int mn = g < 4 ? s[g + 4] & 63 : (s[g + 4] >> 4) | (s[g] >> 6) << 4;
  *scale = (float)sc;
  *minimum = (float)mn;
}

MULTIVERSIONED void lathe_decode_q4_k(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 144, destination += 256) {
    float d = half_at(source), dm = half_at(source + 2);
    for (int g = 0; g < 8; g++) {
      float scale, minimum;
      scale_and_minimum(source + 4, g, &scale, &minimum);
      float step = d * scale, least = dm * minimum;
      const uint8_t *codes = source + 16 + 32 * (g / 2);
      unsigned shift = (unsigned)(4 * (g % 2));
      for (int i = 0; i < 32; i++) destination[32 * g + i] = (float)(codes[i] >> shift & 15) * step - least;
    }
  }
}

MULTIVERSIONED void lathe_decode_q5_k(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 176, destination += 256) {
    float d = half_at(source), dm = half_at(source + 2);
    for (int g = 0; g < 8; g++) {
      float scale, minimum;
      scale_and_minimum(source + 4, g, &scale, &minimum);
      float step = d * scale, least = dm * minimum;
      const uint8_t *codes = source + 48 + 32 * (g / 2), *high = source + 16;
      unsigned shift = (unsigned)(4 * (g % 2));
      for (int i = 0; i < 32; i++) {
        int code = (codes[i] >> shift & 15) | (high[i] >> g & 1) << 4;
        destination[32 * g + i] = (float)code * step - least;
      }
    }
  }
}

MULTIVERSIONED void lathe_decode_q6_k(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 210, destination += 256) {
    const int8_t *scales = (const int8_t *)source + 192;
    float d = half_at(source + 208);
    for (int j = 0; j < 16; j++) {
      // Groups of 16 within halves of 128: four rows of 32, the lower two in the low nibbles.
      int half = j / 8, row = j % 8 / 2, side = j % 2;
      float step = d * (float)scales[j];
      const uint8_t *low = source + 64 * half + 32 * (row % 2) + 16 * side;
      const uint8_t *high = source + 128 + 32 * half + 16 * side;
      unsigned low_shift = (unsigned)(4 * (row / 2)), high_shift = (unsigned)(2 * row);
      for (int i = 0; i < 16; i++) {
        int code = ((low[i] >> low_shift & 15) | (high[i] >> high_shift & 3) << 4) - 32;
        destination[16 * j + i] = (float)code * step;
      }
    }
  }
}

// Of group g of eight.
INLINE float iq4_xs_step(const uint8_t *block, int g) {
  int low = block[4 + g / 2] >> 4 * (g % 2) & 15, high = load16(block + 2, 0) >> 2 * g & 3;
  return half_at(block) * (float)((low | high << 4) - 32);
}

MULTIVERSIONED void lathe_decode_iq4_xs(const uint8_t *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 136, destination += 256) {
    for (int g = 0; g < 8; g++) {
      float step = iq4_xs_step(source, g);
      const uint8_t *codes = source + 8 + 16 * g;
      for (int i = 0; i < 16; i++) {
        destination[32 * g + i] = lathe_curve[codes[i] & 15] * step;
        destination[32 * g + 16 + i] = lathe_curve[codes[i] >> 4] * step;
      }
    }
  }
}

// MARK: Steps

void lathe_steps_half(const uint8_t *source, size_t bytes, float *steps, size_t blocks) {
  for (size_t b = 0; b < blocks; b++) steps[b] = half_at(source + b * bytes);
}

void lathe_steps_mxfp4(const uint8_t *source, float *steps, size_t blocks) {
  for (size_t b = 0; b < blocks; b++) steps[b] = mxfp4_step(source + 17 * b);
}

void lathe_steps_nvfp4(const uint8_t *source, float *steps, size_t blocks) {
  for (size_t b = 0; b < blocks; b++) {
    for (int g = 0; g < 4; g++) steps[4 * b + g] = nvfp4_step(source + 36 * b, g);
  }
}

void lathe_steps_q2_k(const uint8_t *source, float *steps, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 84) {
    for (int j = 0; j < 16; j++) steps[16 * b + j] = half_at(source + 80) * (float)(source[j] & 15);
  }
}

void lathe_steps_q3_k(const uint8_t *source, float *steps, size_t blocks) {
  for (size_t b = 0; b < blocks; b++) {
    for (int j = 0; j < 16; j++) steps[16 * b + j] = q3_k_step(source + 110 * b, j);
  }
}

void lathe_steps_q4_k(const uint8_t *source, size_t bytes, float *steps, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += bytes) {
    for (int g = 0; g < 8; g++) {
      float scale, minimum;
      scale_and_minimum(source + 4, g, &scale, &minimum);
      steps[8 * b + g] = half_at(source) * scale;
    }
  }
}

void lathe_steps_q6_k(const uint8_t *source, float *steps, size_t blocks) {
  for (size_t b = 0; b < blocks; b++, source += 210) {
    for (int j = 0; j < 16; j++) steps[16 * b + j] = half_at(source + 208) * (float)((const int8_t *)source)[192 + j];
  }
}

void lathe_steps_iq4_xs(const uint8_t *source, float *steps, size_t blocks) {
  for (size_t b = 0; b < blocks; b++) {
    for (int g = 0; g < 8; g++) steps[8 * b + g] = iq4_xs_step(source + 136 * b, g);
  }
}

// MARK: Rotation

MULTIVERSIONED void lathe_rotate(float *numbers, size_t count, size_t group) {
  for (size_t start = 0; start + group <= count; start += group) {
    float *x = numbers + start;
    for (size_t stride = 1; stride < group; stride *= 4) {
      for (size_t base = 0; base < group; base += 4 * stride) {
        for (size_t i = base; i < base + stride; i++) {
          float a = x[i], b = x[i + stride], c = x[i + 2 * stride], d = x[i + 3 * stride];
          float half = 0.5f * ((a + b) + (c + d));
          x[i] = half - d;
          x[i + stride] = half - c;
          x[i + 2 * stride] = half - b;
          x[i + 3 * stride] = half - a;
        }
      }
    }
  }
}
