#include "multiversioned.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target(INSTRUCTIONS_AVX512))), apply_to = function)
#define WIDTH 16
#define HEIGHT 14
#define ITEM winograd_item_avx512
#include "winograd_body.h"
#pragma clang attribute pop
#endif
