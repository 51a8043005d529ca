#pragma once
#include <stddef.h>

// out = up · down for row-major up (rows × rank) and down (rank × columns).
//
// Each element is a chain of fused multiply-adds in the order of k, rounded once a step: the same bits on every machine
// and for every way of cutting the rows into calls.
void lathe_product(const float *up, const float *down, size_t rows, size_t rank, size_t columns, float *out);

// The same in double precision.
void lathe_product_double(const double *up, const double *down, size_t rows, size_t rank, size_t columns, double *out);
