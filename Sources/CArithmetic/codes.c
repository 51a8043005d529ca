#include "codes.h"
#include "survival.h"

#pragma STDC FP_CONTRACT OFF

// The last place from `first` to `last` whose value is at most u.
INLINE uint32_t place_below(const lathe_code_order *order, uint32_t first, uint32_t last, float u, int is_integers) {
  if (is_integers) {
    // A whole number of steps above the lowest place, which a float holds exactly.
    float from = u - order->values[0], most = (float)last;
    from = from < (float)first ? (float)first : from;
    // NaN compares false, and ends here.
    from = from < most ? from : most;
    return (uint32_t)from;
  }
  uint32_t place = first, width = last - first;
  // Halves the distance that is left: as many rounds for every number.
  while (width > 0) {
    uint32_t half = (width + 1) / 2;
    place = order->values[place + half] <= u ? place + half : place;
    width -= half;
  }
  return place;
}

// One number between two neighbours of its order.
typedef struct {
  uint32_t stored, low, high;
  // What is wanted, and the three places' values, in steps.
  float wanted, at_stored, at_low, at_high;
  float step;
  int is_still, is_bad, is_clamped;
} choice;

INLINE choice choice_of(const lathe_code_order *order, uint32_t stored, float step, float base, float d, int is_integers) {
  choice c;
  c.stored = stored;
  c.step = step;
  c.at_stored = order->values[stored];
  // Also true for NaN and infinity.
  c.is_bad = !(base - base == 0) || !(d - d == 0) || stored >= order->finite;
  int is_stuck = step == 0 && d != 0;
  c.is_still = d == 0 || step == 0 || c.is_bad;
  float move = d / step;
  c.wanted = c.is_still ? c.at_stored : c.at_stored + move;
  // A code that is never chosen can stay where it is stored.
  uint32_t first = stored < order->first ? stored : order->first;
  uint32_t last = stored > order->last && stored < order->finite ? stored : order->last;
  c.low = place_below(order, first, last, c.wanted, is_integers);
  c.high = c.low < last ? c.low + 1 : c.low;
  c.at_low = order->values[c.low];
  c.at_high = order->values[c.high];
  int is_outside = !c.is_still && (c.wanted < order->values[first] || c.wanted > order->values[last]);
  c.is_clamped = is_outside || is_stuck;
  return c;
}

// The place that was chosen; the stored one where it stands for the same number.
INLINE uint32_t chosen(choice c, int is_high, float *value) {
  uint32_t place = is_high ? c.high : c.low;
  *value = is_high ? c.at_high : c.at_low;
  int stays = c.is_still || *value == c.at_stored;
  *value = stays ? c.at_stored : *value;
  return stays ? c.stored : place;
}

// How far the place's number is off.
INLINE float count_choice(lanes *sums, size_t lane, choice c, float d, float value) {
  float change = (value - c.at_stored) * c.step, error = c.is_bad ? 0 : change - d;
  count_change(sums, lane, d, c.is_bad ? 0 : change, error, value != c.at_stored, c.is_bad, c.is_clamped);
  return error;
}

// `draw` is a uniform 24-bit number, or negative for the nearest.
INLINE void recode(const lathe_code_order *order, uint8_t *place, float step, float base, float d, int32_t draw,
                   lanes *sums, size_t lane, int is_integers) {
  choice c = choice_of(order, *place, step, base, d, is_integers);
  float below = c.wanted - c.at_low, above = c.at_high - c.wanted, gap = c.at_high - c.at_low;
  // The middle between both goes back to where the number came from.
  int is_nearer = above < below || (above == below && c.at_stored > c.at_low);
  int is_drawn = (float)draw < below / (gap > 0 ? gap : 1) * 0x1p24f;
  float value;
  *place = (uint8_t)chosen(c, draw < 0 ? is_nearer : is_drawn, &value);
  count_choice(sums, lane, c, d, value);
}

INLINE void recode_all(const lathe_code_order *order, uint8_t *places, const float *steps, const float *base,
                       const float *d, size_t count, int is_random, uint64_t seed, uint64_t first, lathe_survival *sums,
                       int is_integers) {
#define EACH(k, lane, block)                                                                                           \
  recode(order, places + (k), steps[k], base[k], d[k], is_random ? drawn(seed, first + (k)) : -1, block, lane, is_integers)
  FOR_EACH_COUNTED(count, sums, EACH)
#undef EACH
}

// Called with a constant, so that whole numbers get loops of their own.
#define FOR_EACH_KIND(CALL)                                                                                            \
  if (order->is_integers) {                                                                                            \
    CALL(1);                                                                                                           \
  } else {                                                                                                             \
    CALL(0);                                                                                                           \
  }

MULTIVERSIONED void lathe_recode_nearest(const lathe_code_order *order, uint8_t *places, const float *steps,
                                         const float *base, const float *d, size_t count, lathe_survival *sums) {
#define CALL(IS_INTEGERS) recode_all(order, places, steps, base, d, count, 0, 0, 0, sums, IS_INTEGERS)
  FOR_EACH_KIND(CALL)
#undef CALL
}

MULTIVERSIONED void lathe_recode_stochastic(const lathe_code_order *order, uint8_t *places, const float *steps,
                                            const float *base, const float *d, size_t count, uint64_t seed,
                                            uint64_t first, lathe_survival *sums) {
#define CALL(IS_INTEGERS) recode_all(order, places, steps, base, d, count, 1, seed, first, sums, IS_INTEGERS)
  FOR_EACH_KIND(CALL)
#undef CALL
}

// As `shape_rows` of the formats of numbers: the state holds what each direction hears of a row's errors so far.
INLINE void reshape_rows(const lathe_code_order *order, uint8_t *places, const float *steps, const float *base,
                         const float *d, size_t rows, size_t columns, const float *v, const float *weights, size_t rank,
                         lathe_survival *sums, int is_integers) {
  row_vector state[rank];
  memset(state, 0, sizeof state);
  lanes block;
  memset(&block, 0, sizeof block);
  for (size_t j = 0; j < columns; j++) {
    const float *direction = v + j * rank;
    row_vector response, error = {0};
    respond(state, direction, rank, &response);
    for (size_t row = 0; row < rows; row++) {
      size_t i = row * columns + j;
      choice c = choice_of(order, places[i], steps[i], base[i], d[i], is_integers);
      float to_low = (c.at_low - c.wanted) * c.step, to_high = (c.at_high - c.wanted) * c.step;
      float low_cost = to_low * (2 * response[row] + to_low * weights[j]);
      float high_cost = to_high * (2 * response[row] + to_high * weights[j]);
      float value;
      places[i] = (uint8_t)chosen(c, high_cost < low_cost, &value);
      error[row] = count_choice(&block, row, c, d[i], value);
    }
    for (size_t k = 0; k < rank; k++) state[k] += error * direction[k];
    if (j % 64 == 63 || j + 1 == columns) {
      add_lanes(&block, sums);
      memset(&block, 0, sizeof block);
    }
  }
}

MULTIVERSIONED void lathe_recode_shaped(const lathe_code_order *order, uint8_t *places, const float *steps,
                                        const float *base, const float *d, size_t rows, size_t columns, const float *v,
                                        const float *weights, size_t rank, lathe_survival *sums) {
#define CALL(IS_INTEGERS)                                                                                              \
  reshape_rows(order, places, steps, base, d, rows, columns, v, weights, rank, sums, IS_INTEGERS)
  FOR_EACH_KIND(CALL)
#undef CALL
}

// MARK: Blocks

MULTIVERSIONED void lathe_read_codes(const uint8_t *source, size_t bytes, size_t blocks, const lathe_code_part *parts,
                                     size_t count, size_t elements, uint8_t *codes) {
  for (size_t b = 0; b < blocks; b++, source += bytes, codes += elements) {
    for (size_t e = 0; e < elements; e++) {
      uint32_t code = 0;
      for (size_t k = 0; k < count; k++) {
        lathe_code_part part = parts[e * count + k];
        code |= (uint32_t)(source[part.byte] >> part.shift & part.mask) << part.up;
      }
      codes[e] = (uint8_t)code;
    }
  }
}

void lathe_write_codes(uint8_t *target, size_t bytes, size_t blocks, const lathe_code_part *parts, size_t count,
                       size_t elements, const uint8_t *codes) {
  for (size_t b = 0; b < blocks; b++, target += bytes, codes += elements) {
    for (size_t e = 0; e < elements; e++) {
      for (size_t k = 0; k < count; k++) {
        lathe_code_part part = parts[e * count + k];
        uint32_t old = target[part.byte] & ~((uint32_t)part.mask << part.shift);
        target[part.byte] = (uint8_t)(old | ((uint32_t)codes[e] >> part.up & part.mask) << part.shift);
      }
    }
  }
}

MULTIVERSIONED void lathe_map_codes(const uint8_t *in, const uint8_t *map, uint8_t *out, size_t count) {
  for (size_t i = 0; i < count; i++) out[i] = map[in[i]];
}
