#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512dq,avx2,fma"))), apply_to = function)
#define WIDTH 16
#define HEIGHT 14
#define ITEM winograd_item_avx512
#include "winograd_body.h"
#pragma clang attribute pop
#endif
