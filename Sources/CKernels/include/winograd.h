#pragma once
#include <stddef.h>

/// Instruction sets that the convolution is compiled for. AVX2 and AVX-512 give the same bits; the portable code, which
/// may have no fused multiply-add, gives others.
enum { WINOGRAD_BEST, WINOGRAD_PORTABLE, WINOGRAD_AVX2, WINOGRAD_AVX512 };

/// A convolution 3x3 of stride 1 with a border of zeros of width 1, in float32, with what stands before and after it:
///
///     y = conv3x3( act( x * scale + shift ) ) + bias + residual
///
/// All maps are dense: [batch, row, column, channel]. The border is zero after `act`. With `upsampled`, each pixel of
/// the input is seen twice in each direction (nearest); the output's rows and columns are twice the input's.
typedef struct {
  /// Of the output.
  size_t batch, height, width, out_channels;
  size_t in_channels;
  int upsampled;
  const float *input;
  /// [batch, in_channels] each: a normalisation, folded. Both or none.
  const float *scale, *shift;
  /// Whether `act` is SiLU: x / (1 + exp(-x)).
  int silu;
  /// From `winograd_pack`, with the same channels and the same `upsampled`.
  const float *weights;
  /// [out_channels], or none.
  const float *bias;
  /// Like the output, or none; may be the output itself.
  const float *residual;
  /// Must not be the input.
  float *output;
  /// How many threads will share the items. It decides how the work is cut, and changes no bit of the result.
  int threads;
  /// WINOGRAD_BEST, or the instructions to use; those that the processor lacks are not used.
  int instructions;
} winograd_task;

/// The bytes of the weights as the convolution wants them: 4 times those of [out_channels, in_channels, 3, 3] in
/// float32, 2.8 times with `upsampled`; channels are filled up to whole panels.
size_t winograd_packed_bytes(size_t out_channels, size_t in_channels, int upsampled);

/// How many items `winograd_pack` has.
size_t winograd_pack_items(size_t out_channels);

/// Transforms the `item`-th part of `weights`, [out_channels, in_channels, 3, 3], into its part of `packed`, which is
/// best aligned to 64 bytes. Sums are in double, and rounded once.
void winograd_pack(const float *weights, size_t out_channels, size_t in_channels, int upsampled, size_t item,
                   float *packed);

/// How many independent items the task is cut into. Each writes a part of the output that is its own.
size_t winograd_items(const winograd_task *task);

/// The bytes that a thread needs while it does an item; best aligned to 64 bytes. What they hold does not matter.
size_t winograd_scratch_bytes(const winograd_task *task);

/// Does one item of the task.
void winograd_run(const winograd_task *task, size_t item, void *scratch);
