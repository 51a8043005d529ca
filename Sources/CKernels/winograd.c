#include "multiversioned.h"
#include "winograd_plan.h"
#include <string.h>

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static size_t parts(size_t count, size_t size) { return (count + size - 1) / size; }

// MARK: weights

// G w in one direction, as described in `winograd_body.h`.
static void transform_weights(const double w[3], double *out, size_t step, int upsampled) {
  if (upsampled) {
    out[0] = w[0];
    out[step] = (w[0] + w[1] + w[2]) / 2;
    out[2 * step] = (w[1] + w[2] - w[0]) / 2;
    out[3 * step] = (w[2] - w[0] - w[1]) / 2;
    out[4 * step] = w[2];
    return;
  }
  const double a = 5.0 / 8, b = 3.0 / 2, aa = a * a, bb = b * b;
  double even = w[0] + aa * w[2], odd = a * w[1], below = 2 * aa * (aa - bb);
  out[0] = w[0] / (aa * bb);
  out[step] = (even + odd) / below;
  out[2 * step] = (even - odd) / below;
  even = w[0] + bb * w[2], odd = b * w[1], below = 2 * bb * (bb - aa);
  out[3 * step] = (even + odd) / below;
  out[4 * step] = (even - odd) / below;
  out[5 * step] = w[2];
}

size_t winograd_packed_bytes(size_t out_channels, size_t in_channels, int upsampled) {
  size_t products = upsampled ? 25 : 36;
  return products * parts(out_channels, PANEL) * PANEL * parts(in_channels, BLOCK) * BLOCK * sizeof(float);
}

size_t winograd_pack_items(size_t out_channels) { return parts(out_channels, PANEL); }

// The order is that of the multiplication: [group][product][panel of the group][in channel][channel of the panel].
void winograd_pack(const float *weights, size_t out_channels, size_t in_channels, int upsampled, size_t item,
                   float *packed) {
  size_t products = upsampled ? 5 : 6, depth = parts(in_channels, BLOCK) * BLOCK, panel_floats = depth * PANEL;
  size_t first_panel = item / GROUP * GROUP;
  size_t panels = smaller(GROUP, parts(out_channels, PANEL) - first_panel);
  float *group = packed + first_panel * products * products * panel_floats;
  for (size_t channel = 0; channel < depth; channel++) {
    for (size_t lane = 0; lane < PANEL; lane++) {
      size_t out_channel = item * PANEL + lane;
      double along[3][6] = {{0}}, all[36] = {0};
      if (out_channel < out_channels && channel < in_channels) {
        const float *filter = weights + (out_channel * in_channels + channel) * 9;
        for (int column = 0; column < 3; column++) {
          double w[3] = {filter[column], filter[3 + column], filter[6 + column]};
          transform_weights(w, along[column], 1, upsampled);
        }
        for (size_t i = 0; i < products; i++) {
          double w[3] = {along[0][i], along[1][i], along[2][i]};
          transform_weights(w, all + i * products, 1, upsampled);
        }
      }
      for (size_t product = 0; product < products * products; product++) {
        size_t place = (product * panels + item - first_panel) * panel_floats + channel * PANEL + lane;
        group[place] = (float)all[product];
      }
    }
  }
}

// MARK: the plan

// Rough cycles of a Zen 4 core for an item: good enough to choose a cut by, and nothing else depends on them.
static double item_cycles(const winograd_plan *plan, const winograd_task *task, size_t rows, size_t columns,
                          size_t groups) {
  double tiles = (double)(rows * columns), count = (double)(plan->products * plan->products);
  double panels = (double)smaller(groups * GROUP, plan->panels);
  double weights = count * (double)plan->blocks * BLOCK * panels;
  // Few tiles wait for the weights: from the third cache, or from the memory.
  double all_bytes = count * (double)(plan->panels * PANEL * plan->blocks * BLOCK) * sizeof(float);
  double bytes_per_cycle = all_bytes > 16e6 ? 3.5 : 14;
  double runs = (double)parts(rows * columns, 14);
  double multiply = weights * larger((size_t)(2 * tiles), (size_t)(runs * 7)) * 1.05;
  double stream = weights * PANEL * sizeof(float) / bytes_per_cycle;
  double seen = (double)((plan->step * rows + 2) * (plan->step * columns + 2));
  double prepare = (double)plan->blocks * (tiles * 220 + seen * (task->silu ? 20 : 5));
  double finish = panels * tiles * 300;
  return (multiply > stream ? multiply : stream) + prepare + finish;
}

enum { MOST_TILES = 64 };

winograd_plan winograd_plan_of(const winograd_task *task) {
  winograd_plan plan = {0};
  plan.step = task->upsampled ? 2 : 4;
  plan.values = task->upsampled ? 4 : 6;
  plan.products = task->upsampled ? 5 : 6;
  plan.blocks = parts(task->in_channels, BLOCK);
  plan.panels = parts(task->out_channels, PANEL);
  plan.groups = parts(plan.panels, GROUP);
  plan.depth = parts(plan.blocks, parts(plan.blocks, 10));
  plan.rows_per_sample = parts(task->height, 4);
  plan.tile_rows = task->batch * plan.rows_per_sample;
  plan.tile_columns = parts(task->width, 4);
  if (plan.tile_rows == 0 || plan.tile_columns == 0 || plan.groups == 0) return plan;

  double best = 0;
  size_t threads = task->threads > 1 ? (size_t)task->threads : 1;
  for (size_t rows = 1; rows <= smaller(plan.tile_rows, MOST_TILES); rows++) {
    for (size_t columns = 1; columns <= smaller(plan.tile_columns, MOST_TILES / rows); columns++) {
      for (size_t deep = 1; deep <= smaller(plan.groups, 2 * threads); deep++) {
        size_t groups = parts(plan.groups, deep);
        size_t down = parts(plan.tile_rows, rows), across = parts(plan.tile_columns, columns);
        size_t items = down * across * parts(plan.groups, groups);
        double cycles = (double)parts(items, threads) * item_cycles(&plan, task, rows, columns, groups);
        if (best != 0 && cycles >= best) continue;
        best = cycles;
        plan.item_rows = rows, plan.item_columns = columns, plan.item_groups = groups;
        plan.items_down = down, plan.items_across = across, plan.items_deep = parts(plan.groups, groups);
      }
    }
  }

  // 64 bytes between values: streams that are a multiple of 4096 bytes apart push each other out of the first cache.
  size_t tiles = plan.item_rows * plan.item_columns, line_pixels = plan.step * plan.item_columns + 2;
  plan.value_stride = (plan.blocks * tiles + 1) * BLOCK;
  plan.product_stride = (GROUP * tiles * PANEL / BLOCK + 1) * BLOCK;
  plan.strip_floats = STRIP_BLOCKS * BLOCK * line_pixels * (plan.step * plan.item_rows + 2);
  plan.column_floats = plan.values * line_pixels * BLOCK;
  return plan;
}

// MARK: doing it

size_t winograd_items(const winograd_task *task) {
  winograd_plan plan = winograd_plan_of(task);
  return plan.items_down * plan.items_across * plan.items_deep;
}

size_t winograd_scratch_bytes(const winograd_task *task) {
  winograd_plan plan = winograd_plan_of(task);
  size_t floats = plan.strip_floats + plan.column_floats + plan.values * plan.values * plan.value_stride;
  return (floats + plan.products * plan.products * plan.product_stride) * sizeof(float);
}

void winograd_run(const winograd_task *task, size_t item, void *scratch) {
  winograd_plan plan = winograd_plan_of(task);
#if defined(__x86_64__)
  int asked = task->instructions;
  if (processor_has_avx512() && (asked == WINOGRAD_BEST || asked == WINOGRAD_AVX512)) {
    winograd_item_avx512(task, &plan, item, scratch);
    return;
  }
  if (processor_has_avx2() && asked != WINOGRAD_PORTABLE) {
    winograd_item_avx2(task, &plan, item, scratch);
    return;
  }
#endif
  winograd_item_portable(task, &plan, item, scratch);
}
