// Where attention's packed keys and values, and its scratch, lie. A word has 4 bytes: a float, or two bf16.
#pragma once
#include "attention.h"
#include <stdint.h>

enum {
  // Keys of a block, whose scores for a strip of queries fit the nearest cache. Sums over keys are sums of sums over
  // blocks, which also keeps their rounding small.
  KEY_BLOCK = 128,
  // Words of queries and keys, at most, whose products are one sum.
  MOST_STEPS = 128,
  // Vectors of queries of an item of work, at most.
  MOST_ITEM_VECTORS = 24,
  // Bytes that come from memory together.
  LINE = 64,
  // The most of all instructions, so that sizes are the same for all.
  MOST_LANES = 16,
  MOST_VECTORS = 3,
};

static inline int rounded_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

static inline ptrdiff_t element_bytes(const attention_task *task) { return task->bf16 ? 2 : 4; }

/// Heads of K and V.
static inline int key_heads(const attention_task *task) { return task->key_heads ? task->key_heads : task->heads; }

/// The scale for powers of two instead of e.
static inline float scale_of_two(const attention_task *task) { return (float)(task->scale * 1.4426950408889634); }

/// Words of a row of Q or K.
static inline int row_words(const attention_task *task) { return task->bf16 ? (task->dim + 1) / 2 : task->dim; }

/// Rows of V, and of the result, while they are transposed.
static inline int value_rows(const attention_task *task) { return rounded_up(task->dim, MOST_LANES); }

/// Blocks of the keys of a head.
static inline int key_blocks(const attention_task *task) { return (task->keys + KEY_BLOCK - 1) / KEY_BLOCK; }

/// Vectors of queries of an item of work. Strips of an item share what is fetched of the keys, and only its first waits
/// for its queries, which matters where keys are few; but there must be items enough for all threads.
static inline int item_vectors(const attention_task *task) {
  return key_blocks(task) == 1 ? MOST_ITEM_VECTORS : MOST_ITEM_VECTORS / 4;
}

/// Parts of the queries of a head, each an item of work.
static inline int query_parts(const attention_task *task, int lanes) {
  return (task->queries + item_vectors(task) * lanes - 1) / (item_vectors(task) * lanes);
}

static inline int block_keys(const attention_task *task, int block) {
  int left = task->keys - block * KEY_BLOCK;
  return left < KEY_BLOCK ? left : KEY_BLOCK;
}

/// Words of the packed keys and values of a head: its keys block by block, then its values block by block.
static inline size_t head_words(const attention_task *task) {
  size_t keys = rounded_up(task->keys, MOST_LANES);
  return keys * row_words(task) + (task->bf16 ? keys / 2 : keys) * value_rows(task);
}

static inline size_t key_offset(const attention_task *task, size_t head, int first_key) {
  return head * head_words(task) + (size_t)first_key * row_words(task);
}

static inline size_t value_offset(const attention_task *task, size_t head, int first_key) {
  size_t before = task->bf16 ? first_key / 2 : first_key;
  return key_offset(task, head, rounded_up(task->keys, MOST_LANES)) + before * value_rows(task);
}

/// Words that one thread works in: scores of a block, and for each query its words, the result, a maximum and a sum.
static inline size_t thread_words(const attention_task *task) {
  size_t queries = item_vectors(task) * MOST_LANES;
  return KEY_BLOCK * MOST_VECTORS * MOST_LANES + queries * (2 + value_rows(task) + row_words(task));
}
