#include "team.h"
#include <stdatomic.h>

// What a compiler makes of `#pragma omp parallel`: used here by name, so that no compiler flag is needed.
extern void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void);
extern void omp_set_num_threads(int threads);

typedef struct {
  kernels_work work;
  void *context;
  size_t count;
  atomic_size_t next;
} round_of_work;

static void take_items(void *data) {
  round_of_work *round = data;
  int thread = omp_get_thread_num();
  for (;;) {
    size_t item = atomic_fetch_add_explicit(&round->next, 1, memory_order_relaxed);
    if (item >= round->count) return;
    round->work(round->context, item, thread);
  }
}

void kernels_run(int threads, size_t count, kernels_work work, void *context) {
  round_of_work round = {work, context, count, 0};
  if (count == 0) return;
  if (threads < 1) threads = 1;
  if ((size_t)threads > count) threads = (int)count;
  GOMP_parallel(take_items, &round, (unsigned)threads, 0);
}

void kernels_set_threads(int threads) { omp_set_num_threads(threads); }
