#include "rows.h"
#include "vectors.h"

INLINE size_t least(size_t a, size_t b) { return a < b ? a : b; }

INLINE floats load_any(const void *x, size_t i, size_t count, kernels_format format) {
  return format == kernels_bf16 ? load_bfloats((const uint16_t *)x + i, count)
                                : load_floats((const float *)x + i, count);
}

INLINE void save_any(void *out, size_t i, floats v, size_t count, kernels_format format) {
  if (format == kernels_bf16) save_bfloats((uint16_t *)out + i, v, count);
  else save_floats((float *)out + i, v, count);
}

INLINE floats activated(floats x, kernels_activation activation) {
  switch (activation) {
  case kernels_identity: return x;
  case kernels_silu: return sigmoid_weighted(x, 1.0f);
  case kernels_gelu: return gelu(x);
  case kernels_quick_gelu: return sigmoid_weighted(x, 1.702f);
  // Not max(x, 0), which would turn NaN into 0.
  case kernels_relu: return (floats)((words)x & ~(words)(x < 0));
  }
}

INLINE void channel_sums(const float *x, size_t rows, size_t channels, double *sums, double *squares) {
  for (size_t c = 0; c < channels; c += WIDTH) {
    size_t width = least(WIDTH, channels - c);
    doubles sum = {0}, square = {0};
    for (size_t row = 0; row < rows; row++) {
      doubles v = __builtin_convertvector(load_floats(x + row * channels + c, width), doubles);
      sum += v;
      square = __builtin_elementwise_fma(v, v, square);
    }
    for (size_t i = 0; i < width; i++) {
      sums[c + i] += sum[i];
      squares[c + i] += square[i];
    }
  }
}

MULTIVERSIONED void kernels_channel_sums(const float *x, size_t rows, size_t channels, double *sums, double *squares) {
  channel_sums(x, rows, channels, sums, squares);
}

INLINE void affine(const float *x, size_t rows, size_t channels, const float *factors, const float *addends,
                   kernels_activation activation, void *out, kernels_format format) {
  for (size_t row = 0; row < rows; row++) {
    for (size_t c = 0; c < channels; c += WIDTH) {
      size_t width = least(WIDTH, channels - c), i = row * channels + c;
      floats v = multiply_add(load_floats(x + i, width), load_floats(factors + c, width), load_floats(addends + c, width));
      save_any(out, i, activated(v, activation), width, format);
    }
  }
}

// In a function chosen for the processor only calls without vectors may stand: each kernel is a loop that is compiled
// into it. The choices are made outside the loops: each branch is compiled for its own constants.
MULTIVERSIONED void kernels_affine(const float *x, size_t rows, size_t channels, const float *factors,
                                   const float *addends, kernels_activation activation, void *out,
                                   kernels_format format) {
  if (format == kernels_f32 && activation == kernels_silu) {
    affine(x, rows, channels, factors, addends, kernels_silu, out, kernels_f32);
  } else if (format == kernels_bf16 && activation == kernels_silu) {
    affine(x, rows, channels, factors, addends, kernels_silu, out, kernels_bf16);
  } else if (format == kernels_bf16) {
    affine(x, rows, channels, factors, addends, activation, out, kernels_bf16);
  } else {
    affine(x, rows, channels, factors, addends, activation, out, kernels_f32);
  }
}

INLINE double total(doubles v) {
  double sum = 0;
  for (int i = 0; i < WIDTH; i++) sum += v[i];
  return sum;
}

INLINE void layer_norm(const float *x, size_t rows, size_t channels, const float *gain, const float *bias,
                       float epsilon, void *out, kernels_format format) {
  for (size_t row = 0; row < rows; row++) {
    const float *values = x + row * channels;
    doubles sum = {0}, square = {0};
    for (size_t c = 0; c < channels; c += WIDTH) {
      doubles v = __builtin_convertvector(load_floats(values + c, least(WIDTH, channels - c)), doubles);
      sum += v;
      square = __builtin_elementwise_fma(v, v, square);
    }
    double mean = total(sum) / channels, variance = total(square) / channels - mean * mean;
    if (variance < 0) variance = 0;
    floats factor = all((float)(1 / __builtin_sqrt(variance + epsilon))), center = all((float)mean);
    for (size_t c = 0; c < channels; c += WIDTH) {
      size_t width = least(WIDTH, channels - c);
      floats v = (load_floats(values + c, width) - center) * factor;
      v = multiply_add(v, load_floats(gain + c, width), load_floats(bias + c, width));
      save_any(out, row * channels + c, v, width, format);
    }
  }
}

MULTIVERSIONED void kernels_layer_norm(const float *x, size_t rows, size_t channels, const float *gain,
                                       const float *bias, float epsilon, void *out, kernels_format format) {
  if (format == kernels_bf16) layer_norm(x, rows, channels, gain, bias, epsilon, out, kernels_bf16);
  else layer_norm(x, rows, channels, gain, bias, epsilon, out, kernels_f32);
}

INLINE void gated(const void *x, size_t rows, size_t channels, void *out, kernels_format format) {
  for (size_t row = 0; row < rows; row++) {
    for (size_t c = 0; c < channels; c += WIDTH) {
      size_t width = least(WIDTH, channels - c), i = 2 * row * channels + c;
      floats v = load_any(x, i, width, format) * gelu(load_any(x, i + channels, width, format));
      save_any(out, row * channels + c, v, width, format);
    }
  }
}

MULTIVERSIONED void kernels_gated_gelu(const void *x, size_t rows, size_t channels, void *out, kernels_format format) {
  if (format == kernels_bf16) gated(x, rows, channels, out, kernels_bf16);
  else gated(x, rows, channels, out, kernels_f32);
}

INLINE void gated_silu(const void *x, size_t rows, size_t channels, void *out, kernels_format format) {
  for (size_t row = 0; row < rows; row++) {
    for (size_t c = 0; c < channels; c += WIDTH) {
      size_t width = least(WIDTH, channels - c), i = 2 * row * channels + c;
      floats v = sigmoid_weighted(load_any(x, i, width, format), 1.0f) * load_any(x, i + channels, width, format);
      save_any(out, row * channels + c, v, width, format);
    }
  }
}

MULTIVERSIONED void kernels_gated_silu(const void *x, size_t rows, size_t channels, void *out, kernels_format format) {
  if (format == kernels_bf16) gated_silu(x, rows, channels, out, kernels_bf16);
  else gated_silu(x, rows, channels, out, kernels_f32);
}

INLINE void token_norm(const float *x, size_t rows, size_t channels, const float *gain, float epsilon, int centered,
                       kernels_result result, void *out, kernels_format format) {
  for (size_t row = 0; row < rows; row++) {
    const float *values = x + row * channels;
    doubles sum = {0}, square = {0};
    for (size_t c = 0; c < channels; c += WIDTH) {
      doubles v = __builtin_convertvector(load_floats(values + c, least(WIDTH, channels - c)), doubles);
      sum += v;
      square = __builtin_elementwise_fma(v, v, square);
    }
    double mean = centered ? total(sum) / channels : 0, variance = total(square) / channels - mean * mean;
    if (variance < 0) variance = 0;
    floats factor = all((float)(1 / __builtin_sqrt(variance + epsilon))), center = all((float)mean);
    for (size_t c = 0; c < channels; c += WIDTH) {
      size_t width = least(WIDTH, channels - c), i = row * channels + c;
      floats v = (load_floats(values + c, width) - center) * factor * load_floats(gain + c, width);
      if (result == kernels_add_to) v += load_any(out, i, width, format);
      save_any(out, i, v, width, format);
    }
  }
}

MULTIVERSIONED void kernels_token_norm(const float *x, size_t rows, size_t channels, const float *gain, float epsilon,
                                       int centered, kernels_result result, void *out, kernels_format format) {
  if (result == kernels_add_to) token_norm(x, rows, channels, gain, epsilon, centered, kernels_add_to, out, kernels_f32);
  else if (format == kernels_bf16) token_norm(x, rows, channels, gain, epsilon, centered, kernels_store, out, kernels_bf16);
  else token_norm(x, rows, channels, gain, epsilon, centered, kernels_store, out, kernels_f32);
}

INLINE void rotate(const void *x, size_t rows, size_t pitch, size_t heads, size_t dim, const float *gain, float epsilon,
                   const float *cosines, const float *sines, kernels_rotation rotation, void *out,
                   kernels_format format) {
  // Whole vectors are loaded and saved, the last one's rest too.
  float head[kernels_most_head + WIDTH], turned[kernels_most_head + WIDTH];
  const size_t half = dim / 2;
  for (size_t row = 0; row < rows; row++) {
    const float *c = cosines + row * half, *s = sines + row * half;
    for (size_t h = 0; h < heads; h++) {
      doubles square = {0};
      for (size_t i = 0; i < dim; i += WIDTH) {
        floats v = load_any(x, row * pitch + h * dim + i, least(WIDTH, dim - i), format);
        doubles wide = __builtin_convertvector(v, doubles);
        square = __builtin_elementwise_fma(wide, wide, square);
        save_floats(head + i, v, WIDTH);
      }
      if (gain) {
        floats factor = all((float)(1 / __builtin_sqrt(total(square) / dim + epsilon)));
        for (size_t i = 0; i < dim; i += WIDTH) {
          floats v = load_floats(head + i, WIDTH) * factor * load_floats(gain + i, least(WIDTH, dim - i));
          save_floats(head + i, v, WIDTH);
        }
      }
      if (rotation == kernels_pairs) {
        for (size_t i = 0; i < half; i++) {
          float a = head[2 * i], b = head[2 * i + 1];
          turned[2 * i] = a * c[i] - b * s[i];
          turned[2 * i + 1] = a * s[i] + b * c[i];
        }
      } else {
        for (size_t i = 0; i < half; i++) {
          float a = head[i], b = head[i + half];
          turned[i] = a * c[i] - b * s[i];
          turned[i + half] = a * s[i] + b * c[i];
        }
      }
      for (size_t i = 0; i < dim; i += WIDTH) {
        size_t width = least(WIDTH, dim - i);
        save_any(out, (row * heads + h) * dim + i, load_floats(turned + i, width), width, format);
      }
    }
  }
}

MULTIVERSIONED void kernels_rotate(const void *x, size_t rows, size_t pitch, size_t heads, size_t dim, const float *gain,
                                   float epsilon, const float *cosines, const float *sines, kernels_rotation rotation,
                                   void *out, kernels_format format) {
  if (format == kernels_bf16) {
    rotate(x, rows, pitch, heads, dim, gain, epsilon, cosines, sines, rotation, out, kernels_bf16);
  } else {
    rotate(x, rows, pitch, heads, dim, gain, epsilon, cosines, sines, rotation, out, kernels_f32);
  }
}

INLINE void activate(const void *x, kernels_format from, size_t count, kernels_activation activation, void *out,
                     kernels_format to) {
  for (size_t i = 0; i < count; i += WIDTH) {
    size_t width = least(WIDTH, count - i);
    save_any(out, i, activated(load_any(x, i, width, from), activation), width, to);
  }
}

MULTIVERSIONED void kernels_activate(const void *x, kernels_format from, size_t count, kernels_activation activation,
                                     void *out, kernels_format to) {
  activate(x, from, count, activation, out, to);
}

MULTIVERSIONED void kernels_add(float *x, const float *y, size_t count) {
  for (size_t i = 0; i < count; i++) x[i] += y[i];
}

// tanh y = 1 - 2 / (e^2y + 1). Near zero that loses digits, where the series y - y^3/3 + 2y^5/15 - 17y^7/315 does not.
INLINE floats hyperbolic_tangent(floats y) {
  floats square = y * y, series = all(-17.0f / 315);
  series = multiply_add(series, square, all(2.0f / 15));
  series = multiply_add(series, square, all(-1.0f / 3));
  series = y * multiply_add(series, square, all(1.0f));
  floats exact = 1.0f - 2.0f / (exponential(2.0f * y) + 1.0f);
  // NaN takes the series, which keeps it.
  words far = (words)(square >= 0.015625f);
  return (floats)(((words)exact & far) | ((words)series & ~far));
}

INLINE void soft_limit(const float *x, size_t count, float limit, float *out) {
  for (size_t i = 0; i < count; i += WIDTH) {
    size_t width = least(WIDTH, count - i);
    save_floats(out + i, limit * hyperbolic_tangent(load_floats(x + i, width) / limit), width);
  }
}

MULTIVERSIONED void kernels_soft_limit(const float *x, size_t count, float limit, float *out) {
  soft_limit(x, count, limit, out);
}
