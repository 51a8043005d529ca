#include "team.h"
#include <pthread.h>
#include <stdatomic.h>

// What a compiler makes of `#pragma omp parallel`: used here by name, so that no compiler flag is needed.
extern void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
extern int omp_get_thread_num(void);
extern int omp_get_num_threads(void);
extern int omp_get_thread_limit(void);
extern int omp_get_max_active_levels(void);
extern void omp_set_num_threads(int threads);
extern void omp_set_dynamic(int isDynamic);
extern void omp_set_max_active_levels(int levels);

// More are of no use to a picture.
enum { MOST_THREADS = 1024 };

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

void kernels_set_threads(int threads) {
  omp_set_dynamic(0);
  if (omp_get_max_active_levels() < 1) omp_set_max_active_levels(1);
  omp_set_num_threads(threads);
}

static void *wait_for_end(void *gate) {
  pthread_mutex_lock(gate);
  pthread_mutex_unlock(gate);
  return 0;
}

// How many threads the system grants besides this one, up to `wanted`: OpenMP ends the process where one is refused.
static int startable(int wanted) {
  pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
  pthread_t threads[MOST_THREADS];
  int count = 0;
  pthread_mutex_lock(&gate);
  while (count < wanted && pthread_create(&threads[count], 0, wait_for_end, &gate) == 0) count++;
  pthread_mutex_unlock(&gate);
  for (int i = 0; i < count; i++) pthread_join(threads[i], 0);
  return count;
}

static void count_threads(void *count) {
  if (omp_get_thread_num() == 0) *(int *)count = omp_get_num_threads();
}

int kernels_granted_threads(int threads) {
  if (threads > omp_get_thread_limit()) threads = omp_get_thread_limit();
  if (threads > MOST_THREADS) threads = MOST_THREADS;
  if (threads > 1) threads = 1 + startable(threads - 1);
  if (threads < 1) threads = 1;
  kernels_set_threads(threads);
  int granted = 1;
  GOMP_parallel(count_threads, &granted, (unsigned)threads, 0);
  return granted;
}
