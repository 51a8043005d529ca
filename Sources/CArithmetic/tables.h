// Values of codes that are no whole numbers, shared by the loops that read and write them.
#pragma once

// IQ4_NL and IQ4_XS.
static const float curved[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

// Twice the values of E2M1, as ggml's factors for it are halved.
static const float doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, -0.0f, -1, -2, -3, -4, -6, -8, -12};
