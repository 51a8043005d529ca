// The Winograd convolution of one item. Included once for each instruction set, with
//   WIDTH   floats in a vector: 16, 8 or 4
//   HEIGHT  rows of sums that fit the registers, each of two vectors
//   ITEM    the name of the function
#pragma once
#include "winograd_plan.h"
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

// Vectors stay inside inlined code, whatever the calling convention for them is.
#pragma clang diagnostic ignored "-Wpsabi"

#define INLINE static inline __attribute__((always_inline))

// F(4x4, 3x3) per direction: four outputs y = sum of w[k] d[j + k] are the coefficients of a product of polynomials.
// Evaluated at the points 0, a, -a, b, -b and infinity it needs six products instead of twelve:
//
//   y = A' [ (G w) * (B' d) ]     B' has the rows prod over q != p of (x - q), in powers of x; infinity: over all q
//                                 G has the rows (1, p, p^2) / prod over q != p of (p - q); infinity: (0, 0, 1)
//                                 A' has the columns (1, p, p^2, p^3); infinity: (0, 0, 0, 1)
//
// a = 5/8 and b = 3/2 give less than half the rounding error of the usual 1 and 2, and are exact in binary.
//
// Of an input with each pixel twice a tile sees d = (r, s, s, t, t, u), and five products are enough. With S the sum of
// w0, w1 and w2:
//
//   y0 = w0 r + (w1 + w2) s = P0 + P1 - P2      P0 = w0 (r - t)                P1 = S/2 (t + s)
//   y1 = (w0 + w1) s + w2 t = P1 + P3           P2 = (w1 + w2 - w0)/2 (t - s)  P3 = (w2 - w0 - w1)/2 (t - s)
//   y2 = w0 s + (w1 + w2) t = P1 + P2           P4 = w2 (u - s)
//   y3 = (w0 + w1) t + w2 u = P1 - P3 + P4
//
// In two directions each of these is done along the columns and then along the rows: 36 or 25 products for 16 outputs,
// where the plain sum has 144. The products of all tiles of an item with all channels are products of matrices.

typedef float wide __attribute__((vector_size(4 * WIDTH)));
typedef int wide_integer __attribute__((vector_size(4 * WIDTH)));

#define A_POINT 0.625f
#define B_POINT 1.5f

INLINE size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
// Which value the product uses, in one direction.
INLINE size_t value_of(size_t product, int upsampled) { return upsampled && product > 2 ? product - 1 : product; }
INLINE wide load(const float *p) { wide v; memcpy(&v, p, sizeof v); return v; }
INLINE void save(float *p, wide v) { memcpy(p, &v, sizeof v); }
// Minus, since -0 + 0 is not -0 and would have to be computed.
INLINE wide all(float x) { return x - (wide){0}; }
INLINE wide least(wide a, wide b) { return __builtin_elementwise_min(a, b); }
INLINE wide greatest(wide a, wide b) { return __builtin_elementwise_max(a, b); }

// exp(-x) = 2^n exp(r), |r| <= ln(2)/2, and a polynomial that is off by 3e-9. The clamp keeps 2^n a normal number:
// beyond it SiLU is x or next to 0.
INLINE wide silu(wide x) {
  const float round = 0x1.8p23f;
  wide z = least(greatest(-x, all(-87)), all(87));
  wide shifted = z * 0x1.715476p0f + round;
  wide n = shifted - round;
  wide r = n * -0x1.63p-1f + z;
  r = n * 0x1.bd0106p-13f + r;
  wide e = r * 0x1.6a23cep-10f + 0x1.123a2p-7f;
  e = e * r + 0x1.5558f2p-5f;
  e = e * r + 0x1.555492p-3f;
  e = e * r + 0x1.fffffcp-2f;
  e = e * (r * r) + r;
  e = e + 1;
  wide_integer bits, exponent;
  memcpy(&bits, &e, sizeof bits);
  memcpy(&exponent, &shifted, sizeof exponent);
  bits += exponent << 23;
  memcpy(&e, &bits, sizeof e);
  return x / (e + 1);
}

// Up to 16 channels of a pixel, normalised and activated; the rest of the block is 0.
INLINE void prepare_part(const float *source, const float *scale, const float *shift, size_t channels, float *out,
                         int normalised, int activated) {
  float filled[3][BLOCK] = {{0}};
  memcpy(filled[0], source, channels * sizeof *source);
  if (normalised) {
    memcpy(filled[1], scale, channels * sizeof *scale);
    memcpy(filled[2], shift, channels * sizeof *shift);
  }
  for (int lane = 0; lane < BLOCK; lane += WIDTH) {
    wide v = load(filled[0] + lane);
    if (normalised) v = v * load(filled[1] + lane) + load(filled[2] + lane);
    if (activated) v = silu(v);
    save(out + lane, v);
  }
}

// `count` pixels of some channels. Pixels of the input lie `pitch` floats apart, and its next line, which will be
// wanted soon, is `below` floats away; blocks of the output lie `plane` floats apart.
INLINE void prepare_pixels(const float *source, size_t pitch, size_t below, size_t count, const float *scale,
                           const float *shift, size_t channels, float *out, size_t plane, int normalised,
                           int activated) {
  size_t blocks = channels / BLOCK;
  for (size_t i = 0; i < count; i++) {
    for (size_t block = 0; block < blocks; block++) {
      __builtin_prefetch(source + below + block * BLOCK, 0, 2);
      for (int lane = 0; lane < BLOCK; lane += WIDTH) {
        size_t c = block * BLOCK + lane;
        wide v = load(source + c);
        if (normalised) v = v * load(scale + c) + load(shift + c);
        if (activated) v = silu(v);
        save(out + block * plane + lane, v);
      }
    }
    if (channels % BLOCK != 0) {
      size_t c = blocks * BLOCK;
      prepare_part(source + c, normalised ? scale + c : NULL, normalised ? shift + c : NULL, channels - c,
                   out + blocks * plane, normalised, activated);
    }
    source += pitch;
    out += BLOCK;
  }
}

// One line of an item's pixels from column `first` on, with zeros where the map (or, for no line, all of it) ends.
INLINE void prepare_line(const winograd_task *task, const float *line, const float *scale, const float *shift,
                         size_t channels, ptrdiff_t first, size_t count, size_t width, size_t plane, float *strip) {
  size_t before = first < 0 ? (size_t)-first : 0;
  size_t end = line != NULL ? smaller(count, width - first) : before;
  for (size_t c = 0; c < channels; c += BLOCK) {
    memset(strip + c / BLOCK * plane, 0, before * BLOCK * sizeof *strip);
    memset(strip + c / BLOCK * plane + end * BLOCK, 0, (count - end) * BLOCK * sizeof *strip);
  }
  if (line == NULL) return;
  const float *source = line + (first + (ptrdiff_t)before) * (ptrdiff_t)task->in_channels;
  size_t pitch = task->in_channels, below = width * pitch;
  float *out = strip + before * BLOCK;
  if (scale != NULL && task->silu) {
    prepare_pixels(source, pitch, below, end - before, scale, shift, channels, out, plane, 1, 1);
  } else if (scale != NULL) {
    prepare_pixels(source, pitch, below, end - before, scale, shift, channels, out, plane, 1, 0);
  } else if (task->silu) {
    prepare_pixels(source, pitch, below, end - before, NULL, NULL, channels, out, plane, 0, 1);
  } else {
    prepare_pixels(source, pitch, below, end - before, NULL, NULL, channels, out, plane, 0, 0);
  }
}

// B' d for the six, or (upsampled) four, pixels that a tile sees in one direction.
INLINE void spread(const wide *d, wide *v, int upsampled) {
  if (upsampled) {
    v[0] = d[0] - d[2];
    v[1] = d[2] + d[1];
    v[2] = d[2] - d[1];
    v[3] = d[3] - d[1];
    return;
  }
  const float a = A_POINT, b = B_POINT, aa = a * a, bb = b * b;
  wide even = d[4] - bb * d[2], odd = d[3] - bb * d[1];
  v[0] = d[4] - (aa + bb) * d[2] + aa * bb * d[0];
  v[1] = even + a * odd;
  v[2] = even - a * odd;
  even = d[4] - aa * d[2], odd = d[3] - aa * d[1];
  v[3] = even + b * odd;
  v[4] = even - b * odd;
  v[5] = d[5] - (aa + bb) * d[3] + aa * bb * d[1];
}

// A' m: four outputs from the six, or five, products in one direction.
INLINE void gather(const wide *m, wide *y, int upsampled) {
  if (upsampled) {
    y[0] = m[1] - m[2] + m[0];
    y[1] = m[1] + m[3];
    y[2] = m[1] + m[2];
    y[3] = m[1] - m[3] + m[4];
    return;
  }
  const float a = A_POINT, b = B_POINT, aa = a * a, bb = b * b;
  wide even_a = m[1] + m[2], odd_a = m[1] - m[2], even_b = m[3] + m[4], odd_b = m[3] - m[4];
  y[0] = even_a + even_b + m[0];
  y[1] = b * odd_b + a * odd_a;
  y[2] = bb * even_b + aa * even_a;
  y[3] = bb * b * odd_b + aa * a * odd_a + m[5];
}

// Transforms a row of `tiles` tiles, of one block of channels: `strip` has lines of `line` floats, `out` the first
// tile's first value, and the next is `stride` floats away. Along the columns once for each pixel, since neighbours
// share two, then along the rows.
INLINE void transform_tiles(const float *strip, size_t line, size_t tiles, float *columns, float *out, size_t stride,
                            int upsampled) {
  const int values = upsampled ? 4 : 6, step = upsampled ? 2 : 4;
  size_t count = step * tiles + 2;
  for (size_t column = 0; column < count; column++) {
    for (int lane = 0; lane < BLOCK; lane += WIDTH) {
      wide d[6], v[6];
      for (int i = 0; i < values; i++) d[i] = load(strip + i * line + column * BLOCK + lane);
      spread(d, v, upsampled);
      for (int i = 0; i < values; i++) save(columns + (column * values + i) * BLOCK + lane, v[i]);
    }
  }
  for (size_t tile = 0; tile < tiles; tile++) {
    const float *first = columns + tile * step * values * BLOCK;
    for (int i = 0; i < values; i++) {
      for (int lane = 0; lane < BLOCK; lane += WIDTH) {
        wide d[6], v[6];
        for (int j = 0; j < values; j++) d[j] = load(first + (j * values + i) * BLOCK + lane);
        spread(d, v, upsampled);
        float *place = out + tile * BLOCK + lane;
        for (int j = 0; j < values; j++) save(place + (i * values + j) * stride, v[j]);
      }
    }
  }
}

// Sums of products for `height` tiles with two vectors of a panel, over `blocks` blocks of channels. `values` has 16
// channels of each tile together, and blocks `block_stride` floats apart. They are scattered, so they are asked for
// a block ahead; `next` is where those begin that come after. The weights lie in the order of their use, which
// processors foresee.
INLINE void multiply_rows(const float *values, size_t block_stride, const float *weights, size_t blocks,
                          const float *next, float *sums_out, int height, int first) {
  wide sums[HEIGHT][2];
#pragma clang loop unroll(full)
  for (int i = 0; i < height; i++) sums[i][0] = sums[i][1] = (wide){0};
  for (size_t block = 0; block < blocks; block++) {
    const float *ahead = block + 1 < blocks ? values + block_stride : next;
    for (int i = 0; i < height; i++) __builtin_prefetch(ahead + i * BLOCK);
#pragma clang loop unroll_count(4)
    for (int k = 0; k < BLOCK; k++) {
      wide left = load(weights + k * PANEL), right = load(weights + k * PANEL + WIDTH);
#pragma clang loop unroll(full)
      for (int i = 0; i < height; i++) {
        wide value = all(values[i * BLOCK + k]);
        sums[i][0] += value * left;
        sums[i][1] += value * right;
      }
    }
    values += block_stride;
    weights += BLOCK * PANEL;
  }
#pragma clang loop unroll(full)
  for (int i = 0; i < height; i++) {
    float *place = sums_out + i * PANEL;
    save(place, first ? sums[i][0] : load(place) + sums[i][0]);
    save(place + WIDTH, first ? sums[i][1] : load(place + WIDTH) + sums[i][1]);
  }
}

typedef void (*rows_of)(const float *values, size_t block_stride, const float *weights, size_t blocks,
                        const float *next, float *out, int first);

#define ROWS(height)                                                                                            \
  static void rows_##height(const float *values, size_t block_stride, const float *weights, size_t blocks,      \
                            const float *next, float *out, int first) {                                         \
    multiply_rows(values, block_stride, weights, blocks, next, out, height, first);                             \
  }
ROWS(1) ROWS(2) ROWS(3) ROWS(4) ROWS(5) ROWS(6)
#if HEIGHT > 6
ROWS(7) ROWS(8) ROWS(9) ROWS(10) ROWS(11) ROWS(12) ROWS(13) ROWS(14)
#endif

static const rows_of rows_of_height[HEIGHT + 1] = {
  NULL, rows_1, rows_2, rows_3, rows_4, rows_5, rows_6,
#if HEIGHT > 6
  rows_7, rows_8, rows_9, rows_10, rows_11, rows_12, rows_13,
  rows_14,
#endif
};

// One product of all `tiles` with one panel of weights. Tiles are shared out evenly among runs of at most HEIGHT.
static void multiply(const winograd_plan *plan, const float *values, size_t tiles, const float *weights, float *out) {
  size_t runs = (tiles + HEIGHT - 1) / HEIGHT;
  for (size_t block = 0; block < plan->blocks; block += plan->depth) {
    size_t blocks = smaller(plan->depth, plan->blocks - block);
    for (size_t run = 0, tile = 0; run < runs; run++) {
      size_t height = (tiles - tile) / (runs - run);
      const float *run_values = values + (block * tiles + tile) * BLOCK;
      const float *next = run + 1 < runs ? run_values + height * BLOCK : values + (block + blocks) * tiles * BLOCK;
      for (size_t half = 0; half < PANEL; half += 2 * WIDTH) {
        rows_of_height[height](run_values, tiles * BLOCK, weights + block * BLOCK * PANEL + half, blocks, next,
                               out + tile * PANEL + half, block == 0);
      }
      tile += height;
    }
  }
}

// A tile of the output: its first pixel, and how many of its rows and columns there are.
typedef struct { size_t pixel, rows, columns; } place_of_tile;

INLINE place_of_tile place_of(const winograd_task *task, const winograd_plan *plan, size_t row, size_t column) {
  size_t sample = row / plan->rows_per_sample, y = row % plan->rows_per_sample * 4, x = column * 4;
  return (place_of_tile){(sample * task->height + y) * task->width + x, smaller(4, task->height - y),
                         smaller(4, task->width - x)};
}

// An output larger than any cache is written past the caches, which saves reading it first: only whole vectors, and not
// what has just been read as residual.
INLINE int is_streamed(const winograd_task *task) {
  size_t bytes = task->batch * task->height * task->width * task->out_channels * sizeof(float);
  return bytes > (32u << 20) && task->out_channels % WIDTH == 0 && (uintptr_t)task->output % sizeof(wide) == 0 &&
         task->residual != task->output;
}

// Writes the 4x4 outputs of one tile for a panel of channels, of which `channels` are in the output.
INLINE void write_tile(const winograd_task *task, const float *products, size_t stride, place_of_tile tile,
                       size_t channel, size_t channels, int streamed, int upsampled) {
  const int count = upsampled ? 5 : 6;
  for (size_t lane = 0; lane < PANEL && lane < channels; lane += WIDTH) {
    wide half[4][6], y[4];
    for (int j = 0; j < count; j++) {
      wide m[6];
      for (int i = 0; i < count; i++) m[i] = load(products + (i * count + j) * stride + lane);
      gather(m, y, upsampled);
      for (int i = 0; i < 4; i++) half[i][j] = y[i];
    }
    size_t left = smaller(channels - lane, WIDTH), bytes = left * sizeof(float);
    float some[WIDTH] = {0};
    if (task->bias != NULL) memcpy(some, task->bias + channel + lane, bytes);
    wide bias = load(some);
    size_t first = tile.pixel * task->out_channels + channel + lane;
    if (left == WIDTH && tile.rows == 4 && tile.columns == 4) {
      for (int i = 0; i < 4; i++, first += task->width * task->out_channels) {
        gather(half[i], y, upsampled);
        for (int j = 0; j < 4; j++) {
          size_t place = first + j * task->out_channels;
          wide value = y[j] + bias;
          if (task->residual != NULL) value += load(task->residual + place);
          if (streamed) {
            __builtin_nontemporal_store(value, (wide *)(task->output + place));
          } else {
            save(task->output + place, value);
          }
        }
      }
      continue;
    }
    for (size_t i = 0; i < tile.rows; i++, first += task->width * task->out_channels) {
      gather(half[i], y, upsampled);
      for (size_t j = 0; j < tile.columns; j++) {
        size_t place = first + j * task->out_channels;
        wide value = y[j] + bias;
        if (task->residual != NULL) {
          memcpy(some, task->residual + place, bytes);
          value += load(some);
        }
        save(some, value);
        memcpy(task->output + place, some, bytes);
      }
    }
  }
}

INLINE void do_item(const winograd_task *task, const winograd_plan *plan, size_t item, float *scratch, int upsampled) {
  size_t deep = item % plan->items_deep, across = item / plan->items_deep % plan->items_across;
  size_t down = item / plan->items_deep / plan->items_across;
  size_t first_row = down * plan->item_rows, first_column = across * plan->item_columns;
  size_t rows = smaller(plan->item_rows, plan->tile_rows - first_row);
  size_t columns = smaller(plan->item_columns, plan->tile_columns - first_column);
  size_t tiles = rows * columns;
  float *strip = scratch, *transformed = strip + plan->strip_floats, *values = transformed + plan->column_floats;
  float *products = values + plan->values * plan->values * plan->value_stride;

  size_t height = upsampled ? task->height / 2 : task->height, width = upsampled ? task->width / 2 : task->width;
  size_t line_pixels = plan->step * columns + 2;
  for (size_t block = 0; block < plan->blocks; block += STRIP_BLOCKS) {
    size_t blocks = smaller(STRIP_BLOCKS, plan->blocks - block);
    size_t channel = block * BLOCK, channels = smaller(blocks * BLOCK, task->in_channels - channel);
    for (size_t row = 0; row < rows;) {
      // Rows of tiles of one sample are neighbours, and share lines of pixels.
      size_t sample = (first_row + row) / plan->rows_per_sample, tile_row = (first_row + row) % plan->rows_per_sample;
      size_t run = smaller(rows - row, plan->rows_per_sample - tile_row);
      size_t lines = plan->step * run + 2, plane = lines * line_pixels * BLOCK;
      const float *scale = NULL, *shift = NULL;
      if (task->scale != NULL) {
        scale = task->scale + sample * task->in_channels + channel;
        shift = task->shift + sample * task->in_channels + channel;
      }
      for (size_t i = 0; i < lines; i++) {
        ptrdiff_t y = (ptrdiff_t)(tile_row * plan->step + i) - 1;
        const float *line = NULL;
        if (y >= 0 && y < (ptrdiff_t)height) {
          line = task->input + (sample * height + (size_t)y) * width * task->in_channels + channel;
        }
        prepare_line(task, line, scale, shift, channels, (ptrdiff_t)(first_column * plan->step) - 1, line_pixels, width,
                     plane, strip + i * line_pixels * BLOCK);
      }
      for (size_t b = 0; b < blocks; b++) {
        for (size_t r = 0; r < run; r++) {
          transform_tiles(strip + b * plane + r * plan->step * line_pixels * BLOCK, line_pixels * BLOCK, columns,
                          transformed, values + ((block + b) * tiles + (row + r) * columns) * BLOCK, plan->value_stride,
                          upsampled);
        }
      }
      row += run;
    }
  }

  size_t panel_floats = plan->blocks * BLOCK * PANEL, count = plan->products * plan->products;
  size_t first_group = deep * plan->item_groups;
  const int streamed = is_streamed(task);
  size_t end_group = smaller(first_group + plan->item_groups, plan->groups);
  for (size_t group = first_group; group < end_group; group++) {
    size_t panels = smaller(GROUP, plan->panels - group * GROUP), channel = group * GROUP * PANEL;
    size_t channels = smaller(panels * PANEL, task->out_channels - channel);
    const float *weights = task->weights + group * GROUP * count * panel_floats;
    for (size_t product = 0; product < count; product++) {
      size_t value = plan->values * value_of(product / plan->products, upsampled);
      value += value_of(product % plan->products, upsampled);
      for (size_t panel = 0; panel < panels; panel++) {
        multiply(plan, values + value * plan->value_stride, tiles, weights,
                 products + product * plan->product_stride + panel * tiles * PANEL);
        weights += panel_floats;
      }
    }
    for (size_t panel = 0; panel < panels; panel++) {
      const float *results = products + panel * tiles * PANEL;
      for (size_t tile = 0; tile < tiles; tile++) {
        write_tile(task, results + tile * PANEL, plan->product_stride,
                   place_of(task, plan, first_row + tile / columns, first_column + tile % columns),
                   channel + panel * PANEL, channels - panel * PANEL, streamed, upsampled);
      }
    }
  }
  // Who hears that the item is done must see all of it.
  if (streamed) atomic_thread_fence(memory_order_seq_cst);
}

void ITEM(const winograd_task *task, const winograd_plan *plan, size_t item, float *scratch) {
  if (task->upsampled) {
    do_item(task, plan, item, scratch, 1);
  } else {
    do_item(task, plan, item, scratch, 0);
  }
}
