// What codes stand for that are no whole numbers, shared by the loops that read and write them.
#pragma once
#include "formats.h"

// Twice the values of E2M1, as ggml's factors for it are halved.
static const float doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, -0.0f, -1, -2, -3, -4, -6, -8, -12};

// 2^(code − 128) for every code but 255: half of what an exponent byte stands for.
INLINE float half_exponent_of(uint32_t code) { return float_of(code < 2 ? 0x00200000u << code : (code - 1) << 23); }
