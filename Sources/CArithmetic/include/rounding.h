#pragma once
#include <stddef.h>
#include <stdint.h>

// Adding a delta to base weights and rounding the sum once, with an account of what became of the delta.

// Formats that a sum can be rounded to. Eight-bit results beyond the largest finite value are clamped to it.
typedef enum {
  LATHE_F32,
  LATHE_F16,
  LATHE_BF16,
  LATHE_F8_E4M3,
  LATHE_F8_E5M2,
} lathe_format;

// Sums over elements, with w the base, d the delta and q the stored result.
typedef struct {
  double delta;       // d²
  double projection;  // (q − w)·d
  double residual;    // (q − (w + d))²
  uint64_t moved;     // q ≠ w
  uint64_t not_finite;
  uint64_t clamped;
} lathe_survival;

// out = nearest(w + d), ties to even. The stored value stands for its number times `scale`.
void lathe_round_nearest(lathe_format format, const float *w, const float *d, float scale, void *out, size_t count,
                         lathe_survival *sums);

// out = one of the two neighbours of w + d, the nearer one more likely, so that the mean is exact. Element i draws from
// the counter `first + i` of the generator `seed`, whatever the order of calls.
void lathe_round_stochastic(lathe_format format, const float *w, const float *d, float scale, void *out, size_t count,
                            uint64_t seed, uint64_t first, lathe_survival *sums);

// out = one of the two neighbours of w + d, chosen along each row so that the error's response in the directions `v`
// (columns × rank, row-major) stays small. A column's weight is ‖v‖² plus what the error itself counts. At most 16 rows
// at once; `scales` has one factor for each row.
void lathe_round_shaped(lathe_format format, const float *w, const float *d, const float *scales, void *out,
                        size_t rows, size_t columns, const float *v, const float *weights, size_t rank,
                        lathe_survival *sums);

// The largest magnitude of w + d.
float lathe_largest_sum(const float *w, const float *d, size_t count);

// Stored elements as numbers, times `scale`.
void lathe_widen(lathe_format format, const void *source, float scale, float *destination, size_t count);
