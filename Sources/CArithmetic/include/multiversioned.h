// A function with this word before it is compiled for several instruction sets, and chosen when the program starts.
#pragma once

#if defined(__x86_64__) && defined(__linux__)
#define MULTIVERSIONED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define MULTIVERSIONED
#endif

// Which instructions this processor has. Kernels are compiled for several sets of them by attributes of functions, so
// that no compiler flag is needed, and choose at run time.
#if defined(__x86_64__)
#define INSTRUCTIONS_AVX2 "avx2,fma"
#define INSTRUCTIONS_AVX512 "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"
#define INSTRUCTIONS_AVX512_BF16 "avx512bf16,avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"

static inline int processor_has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

static inline int processor_has_avx512(void) {
  return processor_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw")
    && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}

static inline int processor_has_avx512_bf16(void) {
  return processor_has_avx512() && __builtin_cpu_supports("avx512bf16");
}
#endif
