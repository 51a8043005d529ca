#pragma once
#include "rounding.h"
#include <stddef.h>
#include <stdint.h>

// Choosing codes anew on the grid that a stored weight has: steps and offsets stay, and a number moves to one of the two codes
// around its sum.
//
// Codes are told by their places in the order of what they stand for. A place's number is values[place] · step − offset; the
// offset is the same on both sides of every difference, and never needed.

typedef struct {
  float values[256];
  // The places that may be chosen. Others can only be kept: codes that a format leaves unused, and NaN.
  uint32_t first, last;
  // How many places stand for a finite number.
  uint32_t finite;
  // Whether values are consecutive whole numbers.
  int is_integers;
} lathe_code_order;

// places = nearest(base + d), where the places going in are the base's, and d is what is added. Whatever nothing is added to
// keeps its place, and so does what has a step of zero; the latter counts as clamped. `base` is only looked at for NaN.
void lathe_recode_nearest(const lathe_code_order *order, uint8_t *places, const float *steps, const float *base,
                          const float *d, size_t count, lathe_survival *sums);

// The same with one of the two neighbours, the nearer one more likely. Element i draws from the counter `first + i` of the
// generator `seed`.
void lathe_recode_stochastic(const lathe_code_order *order, uint8_t *places, const float *steps, const float *base,
                             const float *d, size_t count, uint64_t seed, uint64_t first, lathe_survival *sums);

// The same with the neighbours chosen as `lathe_round_shaped` does. At most 16 rows at once.
void lathe_recode_shaped(const lathe_code_order *order, uint8_t *places, const float *steps, const float *base,
                         const float *d, size_t rows, size_t columns, const float *v, const float *weights, size_t rank,
                         lathe_survival *sums);

// Where the bits of a code stand in a block: those of `mask` in a byte, `shift` above its lowest and `up` above the code's.
typedef struct {
  uint16_t byte;
  uint8_t shift, mask, up;
} lathe_code_part;

// Codes of blocks, one a byte. `parts` has `count` parts for each of a block's elements, element by element.
void lathe_read_codes(const uint8_t *source, size_t bytes, size_t blocks, const lathe_code_part *parts, size_t count,
                      size_t elements, uint8_t *codes);

// Puts codes into blocks, whose other bits stay.
void lathe_write_codes(uint8_t *target, size_t bytes, size_t blocks, const lathe_code_part *parts, size_t count,
                       size_t elements, const uint8_t *codes);

// out[i] = map[in[i]], also in place.
void lathe_map_codes(const uint8_t *in, const uint8_t *map, uint8_t *out, size_t count);
