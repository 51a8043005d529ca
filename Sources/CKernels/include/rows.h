// Operations on rows of features: a map of batch x height x width pixels is that many rows of `channels` numbers, one
// after the other. All work on a slice of rows that one thread has been given.
#pragma once
#include <stddef.h>

typedef enum { kernels_identity, kernels_silu, kernels_gelu, kernels_quick_gelu, kernels_relu } kernels_activation;
typedef enum { kernels_f32, kernels_bf16 } kernels_format;

/// Adds each channel's sum and sum of squares to `sums` and `squares`.
void kernels_channel_sums(const float *x, size_t rows, size_t channels, double *sums, double *squares);

/// out = activation(x * factors + addends), with one factor and one addend for each channel.
void kernels_affine(const float *x, size_t rows, size_t channels, const float *factors, const float *addends,
                    kernels_activation activation, void *out, kernels_format format);

/// out = (x - mean) / sqrt(variance + epsilon) * gain + bias over each row; the variance is the biased one.
void kernels_layer_norm(const float *x, size_t rows, size_t channels, const float *gain, const float *bias,
                        float epsilon, void *out, kernels_format format);

/// out = a * gelu(g), where a row of x holds a, then g, of `channels` numbers each. Both are of the same format.
void kernels_gated_gelu(const void *x, size_t rows, size_t channels, void *out, kernels_format format);

/// out = activation(x), and conversion between formats; x and out may be the same memory if their formats are.
void kernels_activate(const void *x, kernels_format from, size_t count, kernels_activation activation, void *out,
                      kernels_format to);

/// x += y
void kernels_add(float *x, const float *y, size_t count);

/// out = limit * tanh(x / limit), the soft limit of small autoencoders.
void kernels_soft_limit(const float *x, size_t count, float limit, float *out);
