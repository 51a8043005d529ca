#pragma once
#include <stddef.h>

/// One piece of work: `item` of what was asked for, done by the thread `thread`.
typedef void (*kernels_work)(void *context, size_t item, int thread);

/// Does `work` for each item of 0..<count on up to `threads` threads, and returns when all are done. Each item is done
/// by one thread; which one, is left to chance. The threads are those of OpenMP, which oneDNN uses too.
void kernels_run(int threads, size_t count, kernels_work work, void *context);

/// Says how many threads oneDNN uses when it is called from this thread: exactly so many, of those that were granted.
void kernels_set_threads(int threads);

/// How many threads OpenMP really gives to work of this thread that asks for `threads`.
///
/// oneDNN shares work among the threads that it asked for, and leaves undone what threads should do that never come: under
/// OMP_THREAD_LIMIT, OMP_DYNAMIC or OMP_MAX_ACTIVE_LEVELS, or a limit on processes. So nobody asks for more than this.
int kernels_granted_threads(int threads);
