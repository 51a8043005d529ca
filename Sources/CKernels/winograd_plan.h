// How a Winograd convolution is cut into items, and where things lie. Nothing here is seen outside.
#pragma once
#include "winograd.h"

// Channels of the input are taken by blocks, those of the output by panels, and panels by groups. What lies in memory
// has these sizes whatever the width of the processor's vectors is.
enum { BLOCK = 16, PANEL = 32, GROUP = 2 };

typedef struct {
  // Per direction: pixels of the input from one tile of 4x4 outputs to the next, values (as many as the pixels that a
  // tile sees), and products. Upsampled, two products share one value: see `winograd_body.h`.
  size_t step, values, products;
  // Input channels in blocks, output channels in panels and in groups of panels.
  size_t blocks, panels, groups;
  // Blocks of channels that are summed before they are added to the sum of those before: this keeps a slice of the
  // weights in the first cache, and rounding errors small.
  size_t depth;
  // Tiles of all samples, one below the other, and the rectangles of tiles that the items take.
  size_t tile_rows, tile_columns, rows_per_sample;
  size_t item_rows, item_columns, item_groups;
  size_t items_down, items_across, items_deep;
  // Floats in the parts of the scratch, and from one transformed value (product) to the next in them.
  size_t value_stride, product_stride, strip_floats, column_floats;
} winograd_plan;

// Blocks of channels whose pixels are normalised before they are transformed.
enum { STRIP_BLOCKS = 4 };

winograd_plan winograd_plan_of(const winograd_task *task);

void winograd_item_avx512(const winograd_task *task, const winograd_plan *plan, size_t item, float *scratch);
void winograd_item_avx2(const winograd_task *task, const winograd_plan *plan, size_t item, float *scratch);
void winograd_item_portable(const winograd_task *task, const winograd_plan *plan, size_t item, float *scratch);
