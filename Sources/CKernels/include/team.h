#pragma once
#include <stddef.h>

/// One piece of work: `item` of what was asked for, done by the thread `thread`.
typedef void (*kernels_work)(void *context, size_t item, int thread);

/// Does `work` for each item of 0..<count on up to `threads` threads, and returns when all are done. Each item is done
/// by one thread; which one, is left to chance. The threads are those of OpenMP, which oneDNN uses too.
void kernels_run(int threads, size_t count, kernels_work work, void *context);

/// Says how many threads oneDNN may use when it is called from this thread.
void kernels_set_threads(int threads);
