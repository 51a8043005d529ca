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

/// out = silu(a) * b, where a row of x holds a, then b, of `channels` numbers each. Both are of the same format.
void kernels_gated_silu(const void *x, size_t rows, size_t channels, void *out, kernels_format format);

/// What is done with the result of a norm: stored, or added to numbers that are there.
typedef enum { kernels_store, kernels_add_to } kernels_result;

/// out = (x - center) / sqrt(mean((x - center)^2) + epsilon) * gain over each row of f32; the center is the row's mean
/// where `centered`, and 0 otherwise. What is added to is f32.
void kernels_token_norm(const float *x, size_t rows, size_t channels, const float *gain, float epsilon, int centered,
                        kernels_result result, void *out, kernels_format format);

/// The largest head that kernels_rotate takes.
enum { kernels_most_head = 1024 };

/// Where the two features lie that are turned together: side by side, or half a head apart.
typedef enum { kernels_pairs, kernels_halves } kernels_rotation;

/// Each head of each row, divided by its root mean square (with epsilon) and times `gain` (none where it is null), its
/// features turned two by two: by one angle for each two, the same for all heads. A row of x begins `pitch` numbers
/// after the one before, a row of `out` has heads * dim; cosines and sines have dim / 2 for each row.
void kernels_rotate(const void *x, size_t rows, size_t pitch, size_t heads, size_t dim, const float *gain, float epsilon,
                    const float *cosines, const float *sines, kernels_rotation rotation, void *out,
                    kernels_format format);

/// out = activation(x), and conversion between formats; x and out may be the same memory if their formats are.
void kernels_activate(const void *x, kernels_format from, size_t count, kernels_activation activation, void *out,
                      kernels_format to);

/// x += y
void kernels_add(float *x, const float *y, size_t count);

/// out = limit * tanh(x / limit), the soft limit of small autoencoders.
void kernels_soft_limit(const float *x, size_t count, float limit, float *out);
