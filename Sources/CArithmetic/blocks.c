#include "blocks.h"
#include "formats.h"

enum { BLOCK = 32, BLOCK_BYTES = 34 };

MULTIVERSIONED void lathe_q8_0_to_f32(const void *source, float *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++) {
    const char *block = (const char *)source + b * BLOCK_BYTES;
    const int8_t *codes = (const int8_t *)block + 2;
    float factor = widen_f16(load16(block, 0));
    for (size_t i = 0; i < BLOCK; i++) destination[b * BLOCK + i] = (float)codes[i] * factor;
  }
}

MULTIVERSIONED void lathe_f32_to_q8_0(const float *source, void *destination, size_t blocks) {
  for (size_t b = 0; b < blocks; b++) {
    const float *values = source + b * BLOCK;
    char *block = (char *)destination + b * BLOCK_BYTES;
    float largest = 0;
    for (size_t i = 0; i < BLOCK; i++) {
      float size = float_of(bits_of(values[i]) & 0x7fffffff);
      largest = size > largest ? size : largest;
    }
    float factor = largest / 127, inverse = 1 / factor;
    store16(block, 0, narrow_f16(factor));
    // No factor, or one whose inverse is infinite: it is stored as zero, and the bytes do not matter.
    if (!(factor >= 0x1p-126f)) inverse = 0;
    int8_t *codes = (int8_t *)block + 2;
    for (size_t i = 0; i < BLOCK; i++) {
      float scaled = values[i] * inverse;
      float size = float_of(bits_of(scaled) & 0x7fffffff);
      // NaN compares false and becomes 127.
      int32_t whole = size < 127 ? (int32_t)size : 127;
      whole += size < 127 && size - (float)whole >= 0.5f;
      codes[i] = (int8_t)(scaled < 0 ? -whole : whole);
    }
  }
}
