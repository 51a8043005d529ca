#include "multiversioned.h"

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target(INSTRUCTIONS_AVX2))), apply_to = function)
#define WIDTH 8
#define HEIGHT 6
#define ITEM winograd_item_avx2
#include "winograd_body.h"
#pragma clang attribute pop
#endif
