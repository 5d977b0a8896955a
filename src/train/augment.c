/*
 * augment.c - what a picture is changed by, drawn from (seed, epoch, index in the data set).
 *
 * So a picture looks the same in an epoch whatever batch it is in, however many threads there are,
 * and whether or not the training was resumed in between.
 */
#include "train/augment.h"

#include "base/counter.h"

#include <math.h>

/* A stream of random numbers an epoch; below, the index of a draw tells the picture and the use.
 * The high word keeps them apart from the streams of the order and of the initialisation. */
static const uint64_t streams = UINT64_C(0x6175676d) << 32; /* "augm" */

typedef enum use { FLIP, CROP_DOWN, CROP_RIGHT } use;

/* Uniform in [0, 1). */
static double uniform(uint64_t seed, int epoch, int index, use what)
{
    return cn_counter_uniform(seed, streams + (uint64_t)epoch,
                              (uint64_t)what << 32 | (uint64_t)index);
}

/* Each of -most .. most is as likely as the others. */
static int whole(double u, int most)
{
    return (int)(u * (2.0 * most + 1)) - most;
}

void cn_augment_draw(const cn_augment *a, uint64_t seed, int epoch, int index,
                     cn_augment_draws *draws)
{
    *draws = (cn_augment_draws){0};
    /* Alternating: the first epoch's draw, then the other way round every time. */
    if (a->flip == CN_FLIP_RANDOM)
        draws->flip = uniform(seed, epoch, index, FLIP) < 0.5;
    else if (a->flip == CN_FLIP_ALTERNATING)
        draws->flip = (uniform(seed, 0, index, FLIP) < 0.5) != (epoch % 2 == 0);
    if (a->crop > 0) {
        draws->down = whole(uniform(seed, epoch, index, CROP_DOWN), a->crop);
        draws->right = whole(uniform(seed, epoch, index, CROP_RIGHT), a->crop);
    }
}

cn_status cn_augment_check(const cn_augment *a, const int shape[3], const char *what, cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    if (a->flip < CN_FLIP_NONE || a->flip > CN_FLIP_ALTERNATING)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: unknown flip %d", what, (int)a->flip);
    if (a->border < CN_BORDER_ZERO || a->border > CN_BORDER_REFLECT)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: unknown border %d", what, (int)a->border);
    int side = shape[0] < shape[1] ? shape[0] : shape[1];
    if (a->crop < 0 || a->crop >= side)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "%s: a crop of %d pixels of pictures of %s, expected 0 to %d", what, a->crop,
                       cn_shape_text(3, shape, text), side - 1);
    return CN_OK;
}
