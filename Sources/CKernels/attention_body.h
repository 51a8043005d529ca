// The attention for one set of instructions. Included once for each, after these:
//
//   LANES     numbers in a vector
//   VECTORS   vectors of queries in a strip, at most
//   HEIGHT    rows of a tile, an even divisor of LANES; the tile's HEIGHT * VECTORS sums stay in registers
//   PAIRED    1 for bf16, where a word is two elements that one instruction multiplies and adds; 0 where it is a float
//   NAMED(n)  n with a suffix for these instructions
//
// Lanes are queries: so the maximum and the sum of a row of scores need no work across lanes, both products are of one
// kind (a panel of words that are broadcast, times a strip of vectors), and only the number of queries is rounded up to
// vectors. Of each block of keys a strip has its scores, then their weights, in the nearest cache.

#define floats NAMED(floats)
#define words NAMED(words)
#define halves NAMED(halves)
#define load NAMED(load)
#define save NAMED(save)
#define larger NAMED(larger)
#define power NAMED(power)
#define multiply_add NAMED(multiply_add)
#define transpose NAMED(transpose)
#define load_transposed NAMED(load_transposed)
#define pack_keys NAMED(pack_keys)
#define pack_values NAMED(pack_values)
#define pack_block NAMED(pack_block)
#define accumulate NAMED(accumulate)
#define strip NAMED(strip)
#define hide NAMED(hide)
#define score NAMED(score)
#define weigh NAMED(weigh)
#define blend NAMED(blend)
#define start_strip NAMED(start_strip)
#define finish_strip NAMED(finish_strip)
#define advance NAMED(advance)
#define fetch_rows NAMED(fetch_rows)
#define end_query NAMED(end_query)
#define attend NAMED(attend)

typedef float floats __attribute__((ext_vector_type(LANES)));
typedef uint32_t words __attribute__((ext_vector_type(LANES)));
typedef uint16_t halves __attribute__((ext_vector_type(LANES)));

INLINE words load(const void *p) { words v; memcpy(&v, p, sizeof v); return v; }
INLINE void save(void *p, words v) { memcpy(p, &v, sizeof v); }
INLINE floats larger(floats a, floats b) { return a > b ? a : b; }

#if PAIRED
INLINE floats multiply_add(floats sum, words a, words b) {
  return (floats)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}
#else
INLINE floats multiply_add(floats sum, words a, words b) { return sum + (floats)a * (floats)b; }
#endif

// 2^x for x <= 0. Of polynomials that are 1 at 0, these have the least relative error for fractions in -0.5...0.5:
// 1.7e-7 with rounding, and 1e-4 where bf16 follows.
INLINE floats power(floats x) {
#if LANES == 16
  // The fraction of -infinity is 0 here, and the power too.
  floats fraction = (floats)_mm512_reduce_ps((__m512)x, _MM_FROUND_TO_NEAREST_INT), whole = x - fraction;
#else
  // Adding `shifter` leaves the nearest whole number + 127 in the lowest bits, which then is the exponent; 0 gives 0.
  const floats lowest = (floats){0} - 127, shifter = (floats){0} + (0x1.8p23f + 127);
  x = x < lowest ? lowest : x;
  floats shifted = x + shifter, fraction = x - (shifted - shifter);
#endif
#if PAIRED
  floats p = (floats){0} + 0x1.c2a218p-5f;
  p = p * fraction + 0x1.f00c4ep-3f;
  p = p * fraction + 0x1.62f5fap-1f;
#else
  floats p = (floats){0} + 0x1.5bba14p-10f;
  p = p * fraction + 0x1.3cea88p-7f;
  p = p * fraction + 0x1.c6b752p-5f;
  p = p * fraction + 0x1.ebf9bcp-3f;
  p = p * fraction + 0x1.62e42ap-1f;
#endif
  p = p * fraction + 1;
#if LANES == 16
  return (floats)_mm512_scalef_ps((__m512)p, (__m512)whole);
#else
  return p * (floats)((words)shifted << 23);
#endif
}

// Transposes LANES vectors as a matrix: interleaves the first half of them with the second, once for each bit of a
// row's number.
INLINE void transpose(words rows[LANES]) {
  UNROLL for (int width = 1; width < LANES; width *= 2) {
    words next[LANES];
    UNROLL for (int i = 0; i < LANES / 2; i++) {
      words a = rows[i], b = rows[i + LANES / 2];
#if LANES == 16
      next[2 * i] = __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      next[2 * i + 1] = __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
#elif LANES == 8
      next[2 * i] = __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
      next[2 * i + 1] = __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
      next[2 * i] = __builtin_shufflevector(a, b, 0, 4, 1, 5);
      next[2 * i + 1] = __builtin_shufflevector(a, b, 2, 6, 3, 7);
#endif
    }
    UNROLL for (int i = 0; i < LANES; i++) rows[i] = next[i];
  }
}

// Word k of row i goes to to[k * stride + i / piece * gap + i % piece], for LANES rows of `dim` elements. Only `rows`
// of them exist; others repeat the last.
INLINE void load_transposed(const char *from, ptrdiff_t row_bytes, int rows, int dim, uint32_t *to, int stride,
                            int piece, size_t gap) {
  const int depth = (dim + PAIRED) / (1 + PAIRED);
  for (int k = 0; k < depth; k += LANES) {
    // The last vector overlaps those before, unless there are none, or its words would start within a pair.
    int overlaps = k + LANES > depth && depth >= LANES && dim % (1 + PAIRED) == 0;
    int start = overlaps ? depth - LANES : k;
    size_t bytes = (size_t)dim * (4 - 2 * PAIRED) - 4 * (size_t)start;
    const char *source = from + 4 * start;
    ptrdiff_t source_bytes = row_bytes;
    uint32_t edge[LANES][LANES];
    if (rows < LANES || bytes < sizeof edge[0]) {
      size_t there = bytes < sizeof edge[0] ? bytes : sizeof edge[0];
      memset(edge, 0, sizeof edge);
      for (int i = 0; i < LANES; i++) memcpy(edge[i], source + (i < rows ? i : rows - 1) * row_bytes, there);
      source = (const char *)edge;
      source_bytes = sizeof edge[0];
    }
    words block[LANES];
    UNROLL for (int i = 0; i < LANES; i++) block[i] = load(source + i * source_bytes);
    transpose(block);
    for (int j = 0; j < LANES && start + j < depth; j++) {
      UNROLL for (int i = 0; i < LANES; i += piece) {
        memcpy(to + (start + j) * stride + i / piece * gap, (const char *)&block[j] + 4 * i, 4 * piece);
      }
    }
  }
}

// K of `count` keys as panels: word k of HEIGHT keys after word k - 1 of them.
static void pack_keys(const char *k, ptrdiff_t row_bytes, int count, int dim, uint32_t *to) {
  size_t panel = (size_t)HEIGHT * ((dim + PAIRED) / (1 + PAIRED));
  for (int first = 0; first < count; first += LANES) {
    load_transposed(k + first * row_bytes, row_bytes, count - first, dim, to + first / HEIGHT * panel, HEIGHT, HEIGHT,
                    panel);
  }
}

// V of `count` keys as panels: HEIGHT features of a key, or of a pair of keys, after those of the key or pair before.
static void pack_values(const char *v, ptrdiff_t row_bytes, int count, int dim, uint32_t *to) {
  const int steps = (count + PAIRED) / (1 + PAIRED);
  for (int first = 0; first < dim; first += LANES) {
    const int features = dim - first < LANES ? dim - first : LANES;
    for (int step = 0; step < steps; step++) {
      const char *row = v + step * (1 + PAIRED) * row_bytes + first * (4 - 2 * PAIRED);
#if PAIRED
      halves even = {0}, odd = {0};
      if (features == LANES) {
        memcpy(&even, row, sizeof even);
        if (2 * step + 1 < count) memcpy(&odd, row + row_bytes, sizeof odd);
      } else {
        memcpy(&even, row, 2 * features);
        if (2 * step + 1 < count) memcpy(&odd, row + row_bytes, 2 * features);
      }
      words features_of_pair = __builtin_convertvector(even, words) | __builtin_convertvector(odd, words) << 16;
#else
      words features_of_pair = {0};
      if (features == LANES) {
        features_of_pair = load(row);
      } else {
        memcpy(&features_of_pair, row, 4 * features);
      }
#endif
      UNROLL for (int i = 0; i < LANES; i += HEIGHT) {
        memcpy(to + (first + i) * steps + step * HEIGHT, (const char *)&features_of_pair + 4 * i, 4 * HEIGHT);
      }
    }
  }
}

// sums += the product of a panel, HEIGHT words for each step, and a strip, `vectors` vectors for each step.
INLINE void accumulate(floats sums[HEIGHT][VECTORS], const uint32_t *panel, const uint32_t *columns, int steps,
                       int vectors) {
  for (int k = 0; k < steps; k++, panel += HEIGHT, columns += vectors * LANES) {
    words column[VECTORS];
    UNROLL for (int v = 0; v < vectors; v++) column[v] = load(columns + v * LANES);
    UNROLL for (int row = 0; row < HEIGHT; row++) {
      words factor = (words){0} + panel[row];
      UNROLL for (int v = 0; v < vectors; v++) sums[row][v] = multiply_add(sums[row][v], factor, column[v]);
    }
  }
}

// What is known of a strip of queries after some blocks of keys; each an array of rows of `vectors` vectors.
typedef struct {
  uint32_t *queries;  // row_words rows
  float *largest;     // 1 row: the largest score so far
  float *total;       // 1 row: the sum of weights, which are 2^(scale * (score - largest))
  float *result;      // value_rows rows: the sums of values by weight
  int first;          // the first query
  int vectors;
} strip;

// Makes the scores of keys that are not there (`end` and above), or that come after the query, -infinity.
INLINE void hide(floats sums[HEIGHT][VECTORS], int first_key, int end, int first_query, int vectors) {
  words lane;
  UNROLL for (int i = 0; i < LANES; i++) lane[i] = i;
  UNROLL for (int v = 0; v < vectors; v++) {
    words query = lane + (uint32_t)(first_query + v * LANES);
    UNROLL for (int row = 0; row < HEIGHT; row++) {
      uint32_t key = first_key + row;
      words hidden = (words)((words){0} + key > query) | (words)((words){0} + key >= (uint32_t)end);
      sums[row][v] = (floats)(((words)sums[row][v] & ~hidden) | (hidden & 0xff800000u));
    }
  }
}

// The query after the strip's last that exists.
INLINE int end_query(const attention_task *task, const strip *s) {
  int end = s->first + s->vectors * LANES;
  return end < task->queries ? end : task->queries;
}

// Scores of the keys first..<first + count, without the scale: a row for each key, up to a multiple of HEIGHT. Keys
// that a query does not see score -infinity.
INLINE void score(const attention_task *task, const strip *s, const uint32_t *panels, int first, int count,
                  float *scores, floats largest[VECTORS], int vectors) {
  const int depth = row_words(task), end = first + count;
  // Keys before `clear` are seen by all the strip.
  const int clear = task->causal && s->first + 1 < end ? s->first + 1 : end;
  // A long sum is made of several, equal ones: that keeps its rounding small.
  const int parts = (depth + MOST_STEPS - 1) / MOST_STEPS, part = (depth + parts - 1) / parts;
  for (int tile = first; tile < end; tile += HEIGHT) {
    for (int start = 0; start < depth; start += part) {
      int steps = depth - start < part ? depth - start : part;
      floats sums[HEIGHT][VECTORS] = {0};
      accumulate(sums, panels, s->queries + start * vectors * LANES, steps, vectors);
      panels += HEIGHT * steps;
      if (start > 0) {
        UNROLL for (int row = 0; row < HEIGHT; row++) {
          UNROLL for (int v = 0; v < vectors; v++) sums[row][v] += (floats)load(scores + (row * vectors + v) * LANES);
        }
      }
      if (start + part >= depth) {
        if (tile + HEIGHT > clear) hide(sums, tile, end, task->causal ? s->first : end, vectors);
        UNROLL for (int row = 0; row < HEIGHT; row++) {
          UNROLL for (int v = 0; v < vectors; v++) largest[v] = larger(sums[row][v], largest[v]);
        }
      }
      UNROLL for (int row = 0; row < HEIGHT; row++) {
        UNROLL for (int v = 0; v < vectors; v++) save(scores + (row * vectors + v) * LANES, (words)sums[row][v]);
      }
    }
    scores += HEIGHT * vectors * LANES;
  }
}

// Turns the scores of `count` keys into weights 2^(score * scale - shift), in place, and adds these to `total`. Weights
// in bf16 lie in pairs.
INLINE void weigh(float *scores, int count, float scale, const floats shift[VECTORS], floats total[VECTORS],
                  int vectors) {
  char *to = (char *)scores;
  for (int key = 0; key < count; key += 1 + PAIRED) {
    UNROLL for (int v = 0; v < vectors; v++) {
      const float *from = scores + (key * vectors + v) * LANES;
#if PAIRED
      floats even = power((floats)load(from) * scale - shift[v]);
      floats odd = power((floats)load(from + vectors * LANES) * scale - shift[v]);
      __m512bh rounded = _mm512_cvtne2ps_pbh((__m512)odd, (__m512)even);
      typedef uint16_t shorts __attribute__((ext_vector_type(2 * LANES)));
      shorts h = (shorts)rounded;
      words pairs = (words)__builtin_shufflevector(h, h, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23, 8, 24,
                                                   9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      // Of the rounded weights, so that they sum to 1 in the result.
      total[v] = multiply_add(total[v], pairs, (words){0} + 0x3f803f80u);
      save(to, pairs);
#else
      floats weight = power((floats)load(from) * scale - shift[v]);
      total[v] += weight;
      save(to, (words)weight);
#endif
      to += 4 * LANES;
    }
  }
}

// result = result * correction + values * weights.
INLINE void blend(const strip *s, const uint32_t *panels, const float *weights, int steps, int dim,
                  const floats correction[VECTORS], int vectors) {
  float *result = s->result;
  for (int first = 0; first < dim; first += HEIGHT) {
    floats sums[HEIGHT][VECTORS] = {0};
    accumulate(sums, panels, (const uint32_t *)weights, steps, vectors);
    panels += HEIGHT * steps;
    UNROLL for (int row = 0; row < HEIGHT; row++) {
      UNROLL for (int v = 0; v < vectors; v++) {
        floats before = (floats)load(result);
        save(result, (words)(before * correction[v] + sums[row][v]));
        result += LANES;
      }
    }
  }
}

// What a block of keys adds to a strip.
INLINE void advance(const attention_task *task, const strip *s, const uint32_t *keys, const uint32_t *values, int first,
                    int count, float *scores, int vectors) {
  // The rounding of a shift is the same for all keys, and cancels when the result is divided by the total.
  const float scale = scale_of_two(task);
  floats largest[VECTORS], shift[VECTORS], correction[VECTORS], total[VECTORS] = {0};
  UNROLL for (int v = 0; v < vectors; v++) largest[v] = (floats)load(s->largest + v * LANES);
  score(task, s, keys, first, count, scores, largest, vectors);
  UNROLL for (int v = 0; v < vectors; v++) {
    shift[v] = largest[v] * scale;
    floats before = (floats)load(s->largest + v * LANES) * scale;
    correction[v] = power(before - shift[v]);
    save(s->largest + v * LANES, (words)largest[v]);
  }
  weigh(scores, count, scale, shift, total, vectors);
  blend(s, values, scores, (count + PAIRED) / (1 + PAIRED), task->dim, correction, vectors);
  UNROLL for (int v = 0; v < vectors; v++) {
    floats before = (floats)load(s->total + v * LANES);
    save(s->total + v * LANES, (words)(before * correction[v] + total[v]));
  }
}

INLINE void start_strip(const attention_task *task, const strip *s, const char *q, int vectors) {
  const ptrdiff_t row_bytes = task->q_row * element_bytes(task);
  for (int v = 0; v < vectors; v++) {
    load_transposed(q + v * LANES * row_bytes, row_bytes, task->queries - s->first - v * LANES, task->dim,
                    s->queries + v * LANES, vectors * LANES, LANES, 0);
  }
  // Finite, and so that its product with the scale is: scores of -infinity then weigh nothing.
  const float lowest = scale_of_two(task) > 1 ? -FLT_MAX / scale_of_two(task) : -FLT_MAX;
  for (int i = 0; i < vectors * LANES; i++) {
    s->largest[i] = lowest;
    s->total[i] = 0;
  }
  memset(s->result, 0, sizeof(float) * value_rows(task) * vectors * LANES);
}

// Writes the strip's rows of the result.
INLINE void finish_strip(const attention_task *task, const strip *s, char *out, int vectors) {
  const ptrdiff_t row_bytes = task->out_row * element_bytes(task);
  const int wide = task->dim >= LANES;
  for (int v = 0; v < vectors; v++) {
    const int rows = task->queries - s->first - v * LANES;
    floats factor = 1 / (floats)load(s->total + v * LANES);
    for (int k = 0; k < task->dim && rows > 0; k += LANES) {
      // The last vector overlaps those before, if there are any.
      int start = wide && k + LANES > task->dim ? task->dim - LANES : k;
      words block[LANES];
      UNROLL for (int i = 0; i < LANES; i++) {
        block[i] = (words)((floats)load(s->result + ((start + i) * vectors + v) * LANES) * factor);
      }
      transpose(block);
      for (int i = 0; i < LANES && i < rows; i++) {
        char *row = out + (v * LANES + i) * row_bytes + start * element_bytes(task);
#if PAIRED
        __m256bh numbers = _mm512_cvtneps_pbh((__m512)block[i]);
#else
        words numbers = block[i];
#endif
        if (wide) {
          memcpy(row, &numbers, sizeof numbers);
        } else {
          memcpy(row, &numbers, task->dim * element_bytes(task));
        }
      }
    }
  }
}

// Calls f(..., vectors), which then knows `vectors` when it is compiled.
#if VECTORS == 3
#define WITH_CONSTANT(vectors, f, ...) \
  switch (vectors) { \
  case 1: f(__VA_ARGS__, 1); break; \
  case 2: f(__VA_ARGS__, 2); break; \
  default: f(__VA_ARGS__, 3); \
  }
#else
#define WITH_CONSTANT(vectors, f, ...) \
  switch (vectors) { \
  case 1: f(__VA_ARGS__, 1); break; \
  default: f(__VA_ARGS__, 2); \
  }
#endif

// Begins to fetch the rows first..<end of a head.
static void fetch_rows(const attention_task *task, const char *from, ptrdiff_t row_bytes, int first, int end) {
  for (int i = first; i < end; i++) {
    for (int k = 0; k < task->dim * element_bytes(task) + LINE - 1; k += LINE) {
      __builtin_prefetch(from + i * row_bytes + k, 0, 2);
    }
  }
}

// Packs the keys and values of a block, of which each head has as many as the next.
static void pack_block(const attention_task *task, uint32_t *packed, size_t item) {
  const int blocks = key_blocks(task), block = item % blocks, head = item / blocks % key_heads(task);
  const int first = block * KEY_BLOCK, count = block_keys(task, block);
  const ptrdiff_t bytes = element_bytes(task), batch = item / blocks / key_heads(task);
  const char *k = (const char *)task->k + bytes * (batch * task->k_batch + first * task->k_row + head * task->dim);
  const char *v = (const char *)task->v + bytes * (batch * task->v_batch + first * task->v_row + head * task->dim);
  fetch_rows(task, v, task->v_row * bytes, 0, count);
  pack_keys(k, task->k_row * bytes, count, task->dim, packed + key_offset(task, item / blocks, first));
  pack_values(v, task->v_row * bytes, count, task->dim, packed + value_offset(task, item / blocks, first));
}

// Computes a part of the rows of one head.
static void attend(const attention_task *task, const uint32_t *packed, float *scratch, size_t item) {
  const int parts = query_parts(task, LANES), part = item % parts, blocks = key_blocks(task);
  const size_t whole_head = item / parts, sharing = task->heads / key_heads(task);
  const ptrdiff_t bytes = element_bytes(task), batch = whole_head / task->heads, head = whole_head % task->heads;
  const char *q = (const char *)task->q + bytes * (batch * task->q_batch + head * task->dim);
  char *out = (char *)task->out + bytes * (batch * task->out_batch + head * task->dim);
  float *scores = scratch;
  scratch += KEY_BLOCK * VECTORS * LANES;

  strip strips[MOST_ITEM_VECTORS];
  int count = 0;
  const int vectors = rounded_up(task->queries, LANES) / LANES, end = (part + 1) * item_vectors(task);
  for (int vector = part * item_vectors(task); vector < vectors && vector < end; count++) {
    // Strips of about the same width, for a narrow one is slow.
    int left = (end < vectors ? end : vectors) - vector, strips_left = (left + VECTORS - 1) / VECTORS;
    int width = (left + strips_left - 1) / strips_left, lanes = width * LANES;
    strip s = {.first = vector * LANES, .vectors = width, .largest = scratch, .total = scratch + lanes};
    s.result = s.total + lanes;
    s.queries = (uint32_t *)s.result + value_rows(task) * lanes;
    // With one block of keys a strip is done before the next is begun.
    if (blocks > 1) scratch += (2 + value_rows(task) + row_words(task)) * lanes;
    strips[count] = s;
    vector += width;
  }
  for (int block = 0; block < blocks; block++) {
    const int first = block * KEY_BLOCK;
    const uint32_t *keys = packed + key_offset(task, whole_head / sharing, first);
    const uint32_t *values = packed + value_offset(task, whole_head / sharing, first);
    for (int i = 0; i < count; i++) {
      const strip *s = &strips[i], *next = i + 1 < count ? s + 1 : 0;
      // Rows that are needed soon come while scores are computed.
      if (block == 0) {
        WITH_CONSTANT(s->vectors, start_strip, task, s, q + s->first * task->q_row * bytes)
        if (next) fetch_rows(task, q, task->q_row * bytes, next->first, end_query(task, next));
      }
      if (block == blocks - 1) fetch_rows(task, out, task->out_row * bytes, s->first, end_query(task, s));
      if (!task->causal || first < end_query(task, s)) {
        WITH_CONSTANT(s->vectors, advance, task, s, keys, values, first, block_keys(task, block), scores)
      }
      if (block == blocks - 1) {
        WITH_CONSTANT(s->vectors, finish_strip, task, s, out + s->first * task->out_row * bytes)
      }
    }
  }
}

#undef WITH_CONSTANT
#undef floats
#undef words
#undef halves
#undef load
#undef save
#undef larger
#undef power
#undef multiply_add
#undef transpose
#undef load_transposed
#undef pack_keys
#undef pack_values
#undef pack_block
#undef accumulate
#undef strip
#undef hide
#undef score
#undef weigh
#undef blend
#undef start_strip
#undef finish_strip
#undef advance
#undef fetch_rows
#undef end_query
#undef attend
#undef LANES
#undef VECTORS
#undef HEIGHT
#undef PAIRED
#undef NAMED
