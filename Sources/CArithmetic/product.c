#include "product.h"
#include "formats.h"

enum { WIDTH = 16, PANEL = 2 * WIDTH, HEIGHT = 4, DEPTH = 128 };

// Vectors stay inside inlined code, whatever the calling convention for them is.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float wide __attribute__((vector_size(4 * WIDTH)));

INLINE wide load(const float *p) { wide v; memcpy(&v, p, sizeof v); return v; }
INLINE void save(float *p, wide v) { memcpy(p, &v, sizeof v); }

// `height` rows of a panel of columns; `start` says whether this is the first part of the rank.
INLINE void panel_rows(const float *up, size_t rank, const float *panel, size_t depth, float *out, size_t stride,
                       int height, int start) {
  wide sums[HEIGHT][2];
  for (int i = 0; i < height; i++) {
    for (int half = 0; half < 2; half++) sums[i][half] = start ? (wide){0} : load(out + i * stride + half * WIDTH);
  }
  for (size_t k = 0; k < depth; k++) {
    wide left = load(panel + k * PANEL), right = load(panel + k * PANEL + WIDTH);
    for (int i = 0; i < height; i++) {
      float factor = up[i * rank + k];
      wide factors = (wide){0} + factor;
      sums[i][0] = __builtin_elementwise_fma(factors, left, sums[i][0]);
      sums[i][1] = __builtin_elementwise_fma(factors, right, sums[i][1]);
    }
  }
  for (int i = 0; i < height; i++) {
    for (int half = 0; half < 2; half++) save(out + i * stride + half * WIDTH, sums[i][half]);
  }
}

MULTIVERSIONED void lathe_product(const float *up, const float *down, size_t rows, size_t rank, size_t columns,
                                  float *out) {
  float panel[DEPTH * PANEL], edge[HEIGHT * PANEL];
  if (rank == 0) memset(out, 0, rows * columns * sizeof *out);
  for (size_t j = 0; j < columns; j += PANEL) {
    size_t width = columns - j < PANEL ? columns - j : PANEL;
    for (size_t first = 0; first < rank; first += DEPTH) {
      size_t depth = rank - first < DEPTH ? rank - first : DEPTH;
      for (size_t k = 0; k < depth; k++) {
        for (size_t c = 0; c < PANEL; c++) panel[k * PANEL + c] = c < width ? down[(first + k) * columns + j + c] : 0;
      }
      for (size_t i = 0; i < rows; i += HEIGHT) {
        size_t height = rows - i < HEIGHT ? rows - i : HEIGHT;
        const float *factors = up + i * rank + first;
        float *target = out + i * columns + j;
        if (width == PANEL && height == HEIGHT) {
          panel_rows(factors, rank, panel, depth, target, columns, HEIGHT, first == 0);
          continue;
        }
        // The last rows and columns go through a block of full size.
        for (size_t row = 0; row < height; row++) {
          for (size_t c = 0; c < width; c++) edge[row * PANEL + c] = target[row * columns + c];
        }
        for (size_t row = 0; row < height; row++) {
          panel_rows(factors + row * rank, rank, panel, depth, edge + row * PANEL, PANEL, 1, first == 0);
        }
        for (size_t row = 0; row < height; row++) {
          for (size_t c = 0; c < width; c++) target[row * columns + c] = edge[row * PANEL + c];
        }
      }
    }
  }
}

MULTIVERSIONED void lathe_product_double(const double *up, const double *down, size_t rows, size_t rank, size_t columns,
                                         double *out) {
  enum { SPAN = 512 };
  memset(out, 0, rows * columns * sizeof *out);
  // Spans of columns, so that a row of sums stays in the nearest cache while all of `down`'s rows pass.
  for (size_t first = 0; first < columns; first += SPAN) {
    size_t width = columns - first < SPAN ? columns - first : SPAN;
    for (size_t i = 0; i < rows; i++) {
      double *sums = out + i * columns + first;
      for (size_t k = 0; k < rank; k++) {
        double factor = up[i * rank + k];
        const double *right = down + k * columns + first;
        for (size_t j = 0; j < width; j++) sums[j] = __builtin_fma(factor, right[j], sums[j]);
      }
    }
  }
}
