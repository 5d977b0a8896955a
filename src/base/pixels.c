/*
 * pixels.c - scales and normalizes the pixels of every image.
 *
 *     (v scale - mean) / std  =  v slope + shift,   slope = scale / std,   shift = -mean / std
 *
 * With 3 channels, a loop over channels inside a loop over pixels does not vectorize. So slope and
 * shift are repeated into a pattern of many whole pixels, and the inner loop runs straight over
 * elements, for any number of channels.
 */
#include "base/pixels.h"

enum { PATTERN = 512 };

/* The factors of channels first .. first+channels-1, repeated; `run` elements in all. */
typedef struct pattern {
    float slope[PATTERN], shift[PATTERN];
    size_t run;
} pattern;

static void make_pattern(pattern *p, int first, int channels, float scale, const float *mean,
                         const float *std)
{
    p->run = (size_t)(PATTERN / channels) * (size_t)channels;
    for (size_t i = 0; i < p->run; i++) {
        size_t c = (size_t)first + i % (size_t)channels;
        p->slope[i] = std ? (float)((double)scale / std[c]) : scale;
        p->shift[i] = mean ? (float)(-(double)mean[c] / (std ? std[c] : 1.0f)) : 0.0f;
    }
}

static void apply_u8(const pattern *p, const uint8_t *restrict in, size_t n, float *restrict out)
{
    for (size_t i = 0; i < n; i++) out[i] = (float)in[i] * p->slope[i] + p->shift[i];
}

static void apply_f32(const pattern *p, const float *restrict in, size_t n, float *restrict out)
{
    for (size_t i = 0; i < n; i++) out[i] = in[i] * p->slope[i] + p->shift[i];
}

void cn_pixels_normalize(const cn_tensor *images, float scale, const int *index, int n,
                         const float *mean, const float *std, float *out)
{
    pattern p;
    int all = images->shape[3];
    size_t count = cn_tensor_count(images) / (size_t)images->shape[0];
    /* More channels than the pattern holds are done in parts: a step is then one pixel. */
    for (int first = 0; first < all; first += PATTERN) {
        int channels = all - first < PATTERN ? all - first : PATTERN;
        make_pattern(&p, first, channels, scale, mean, std);
        size_t step = all <= PATTERN ? p.run : (size_t)all;
        size_t run = all <= PATTERN ? p.run : (size_t)channels;
        for (int i = 0; i < n; i++) {
            size_t from = (size_t)(index ? index[i] : i) * count, to = (size_t)i * count;
            for (size_t at = (size_t)first; at < count; at += step) {
                size_t part = count - at < run ? count - at : run;
                if (images->dtype == CN_DTYPE_U8)
                    apply_u8(&p, (const uint8_t *)images->data + from + at, part, out + to + at);
                else
                    apply_f32(&p, (const float *)images->data + from + at, part, out + to + at);
            }
        }
    }
}
