// Shared by the loops that round: the account of what became of a delta.
#pragma once
#include "formats.h"
#include "rounding.h"

enum { BLOCK = 1024, LANES = 16, ROWS = 16 };

typedef struct {
  float delta[LANES], projection[LANES], residual[LANES];
  uint32_t moved[LANES], not_finite[LANES], clamped[LANES];
} lanes;

// A stored number is `change` away from the base and `error` away from the sum.
INLINE void count_change(lanes *sums, size_t lane, float d, float change, float error, int moved, int not_finite,
                         int clamped) {
  sums->delta[lane] += d * d;
  sums->projection[lane] += change * d;
  sums->residual[lane] += error * error;
  sums->moved[lane] += moved;
  sums->not_finite[lane] += not_finite;
  sums->clamped[lane] += clamped;
}

INLINE void add_lanes(const lanes *block, lathe_survival *sums) {
  for (int lane = 0; lane < LANES; lane++) {
    sums->delta += block->delta[lane];
    sums->projection += block->projection[lane];
    sums->residual += block->residual[lane];
    sums->moved += block->moved[lane];
    sums->not_finite += block->not_finite[lane];
    sums->clamped += block->clamped[lane];
  }
}

// EACH(i, lane, block) for every number i below `count`: sixteen side by side, each counting in a lane of its own, and sums in
// double precision after every BLOCK numbers. So counts have the same bits whatever instructions there are.
#define FOR_EACH_COUNTED(count, sums, EACH)                                                                            \
  for (size_t start = 0; start < (count); start += BLOCK) {                                                            \
    size_t end = start + BLOCK < (count) ? start + BLOCK : (count), i = start;                                         \
    lanes block;                                                                                                       \
    memset(&block, 0, sizeof block);                                                                                   \
    for (; i + LANES <= end; i += LANES) {                                                                             \
      for (size_t lane = 0; lane < LANES; lane++) EACH(i + lane, lane, &block);                                        \
    }                                                                                                                  \
    for (; i < end; i++) EACH(i, 0, &block);                                                                           \
    add_lanes(&block, sums);                                                                                           \
  }

INLINE uint64_t mixed(uint64_t x) {
  // The finaliser of splitmix64 (Steele, Lea, Flood 2014).
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
  x = (x ^ x >> 27) * 0x94d049bb133111ebu;
  return x ^ x >> 31;
}

// A uniform number of 24 bits: draw `i` of the generator `seed`.
INLINE int32_t drawn(uint64_t seed, uint64_t i) { return (int32_t)(mixed(seed + i * 0x9e3779b97f4a7c15u) >> 40); }

// Numbers of 16 rows side by side.
typedef float row_vector __attribute__((vector_size(4 * ROWS)));

// What each direction of `rank` hears, weighted by how far each row is off in it: Σ state · direction.
INLINE void respond(const row_vector *state, const float *direction, size_t rank, row_vector *response) {
  row_vector even = {0}, odd = {0};
  for (size_t k = 0; k + 1 < rank; k += 2) {
    even += state[k] * direction[k];
    odd += state[k + 1] * direction[k + 1];
  }
  if (rank % 2) even += state[rank - 1] * direction[rank - 1];
  *response = even + odd;
}
