/*
 * jitter.c - the colors of an image changed by three factors, one after the other:
 *
 *     brightness b   x = b x
 *     contrast c     x = c x + (1 - c) mean     the mean gray of the image
 *     saturation s   x = s x + (1 - s) gray     the gray of the pixel
 *
 * The gray of a pixel is its luma (ITU-R BT.601) where there are three channels, else the mean of
 * its channels. All three steps are linear, so they are one:
 *
 *     x = b c s x + b c (1 - s) gray + b (1 - c) mean        gray and mean of the x before
 */
#include "augment/augment.h"

#define INLINE static inline __attribute__((always_inline))

INLINE float gray_of(const float *x, int channels)
{
    if (channels == 3) return 0.299f * x[0] + 0.587f * x[1] + 0.114f * x[2];
    float sum = 0;
    for (int k = 0; k < channels; k++) sum += x[k];
    return sum / (float)channels;
}

INLINE void jitter(const cn_jitter *j, size_t pixels, int channels, float least, float most,
                   float *x)
{
    double sum = 0;
    for (size_t i = 0; i < pixels; i++) sum += gray_of(x + i * (size_t)channels, channels);
    const float b = j->brightness, c = j->contrast, s = j->saturation;
    const float own = b * c * s, gray = b * c * (1 - s);
    const float constant = b * (1 - c) * (float)(sum / (double)pixels);
    for (size_t i = 0; i < pixels; i++, x += channels) {
        float rest = gray * gray_of(x, channels) + constant;
        for (int k = 0; k < channels; k++) {
            float y = own * x[k] + rest;
            x[k] = y < least ? least : y > most ? most : y;
        }
    }
}

void cn_jitter_image(const cn_jitter *j, const int shape[3], float least, float most, float *x)
{
    const size_t pixels = (size_t)shape[0] * (size_t)shape[1];
    switch (shape[2]) {
    case 1: jitter(j, pixels, 1, least, most, x); break;
    case 3: jitter(j, pixels, 3, least, most, x); break;
    default: jitter(j, pixels, shape[2], least, most, x);
    }
}
