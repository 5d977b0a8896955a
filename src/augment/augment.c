/*
 * augment.c - what an image is changed by, drawn from (seed, epoch, index in the data set).
 *
 * So an image looks the same in an epoch whatever batch it is in, however many threads there are,
 * and whether or not the training was resumed in between.
 */
#include "augment/augment.h"

#include "base/counter.h"
#include "base/math.h"

#include <math.h>

/* A stream of random numbers an epoch; in it, the index of a draw tells the image and the use.
 * The high word keeps them apart from the streams of the order and of the initialization. */
static const uint64_t streams = UINT64_C(0x6175676d) << 32; /* "augm" */

typedef enum use {
    FLIP,
    CROP_DOWN,
    CROP_RIGHT,
    SHIFT_DOWN,
    SHIFT_RIGHT,
    ANGLE,
    SCALE,
    BRIGHTNESS,
    CONTRAST,
    SATURATION,
    HOLE_ROW,
    HOLE_COLUMN,
    PARTNER,
    FRAME = 1 << 20, /* and from here on, four for each attempt */
    TURNS = FRAME - 1,
    WEIGHT = PARTNER + 1, /* and from here on, two for each attempt at each of two gamma variates */
} use;

/* The draws of an image in an epoch. */
typedef struct source {
    uint64_t seed, stream;
    int index;
} source;

static uint64_t place(const source *s, uint64_t what)
{
    return what << 32 | (uint64_t)s->index;
}

/* In [0, 1). */
static double uniform(const source *s, uint64_t what)
{
    return cn_counter_uniform(s->seed, s->stream, place(s, what));
}

static double between(const source *s, use what, double low, double high)
{
    return low + (high - low) * uniform(s, what);
}

/* Each of 0 .. n-1 is as likely as the others. */
static int whole(const source *s, use what, int n)
{
    return (int)(uniform(s, what) * n);
}

/*
 * The logarithm of a gamma variate of shape `alpha` (Marsaglia and Tsang 2000): that of shape
 * alpha + 1, whose attempts nearly all succeed, times u^(1 / alpha). As a logarithm it does not
 * underflow where alpha is small. `first` is its first draw.
 */
static double log_gamma_variate(const source *s, double alpha, uint64_t first)
{
    const double d = alpha + 2.0 / 3, c = 1 / sqrt(9 * d);
    const double power = cn_log(1 - uniform(s, first)) / alpha; /* 1 - u is never 0 */
    for (uint64_t draw = first + 1;; draw += 2) {
        double x = cn_counter_normal(s->seed, s->stream, place(s, draw));
        double t = 1 + c * x, u = 1 - uniform(s, draw + 1);
        if (t <= 0) continue;
        double v = t * t * t;
        if (cn_log(u) < 0.5 * x * x + d - d * v + d * cn_log(v)) return cn_log(d * v) + power;
    }
}

/* Beta(alpha, alpha), folded to its upper half: the image itself is the larger part. */
static float mix_weight(const source *s, double alpha)
{
    enum { DRAWS = 1 << 16 };
    double a = log_gamma_variate(s, alpha, WEIGHT);
    double b = log_gamma_variate(s, alpha, WEIGHT + DRAWS);
    return (float)(1 / (1 + cn_exp(-fabs(a - b))));
}

static void draw_warp(const cn_augment *a, const source *s, cn_warp *warp)
{
    const double radians = 3.141592653589793 / 180;
    if (a->shift > 0) {
        warp->down = between(s, SHIFT_DOWN, -a->shift, a->shift);
        warp->right = between(s, SHIFT_RIGHT, -a->shift, a->shift);
    }
    if (a->rotate > 0) warp->angle = radians * between(s, ANGLE, -a->rotate, a->rotate);
    if (a->scale > 0) warp->scale = between(s, SCALE, 1 - a->scale, 1 + a->scale);
}

static void draw_jitter(const cn_augment *a, const source *s, cn_jitter *j)
{
    if (a->brightness > 0)
        j->brightness = (float)between(s, BRIGHTNESS, 1 - a->brightness, 1 + a->brightness);
    if (a->contrast > 0)
        j->contrast = (float)between(s, CONTRAST, 1 - a->contrast, 1 + a->contrast);
    if (a->saturation > 0)
        j->saturation = (float)between(s, SATURATION, 1 - a->saturation, 1 + a->saturation);
}

/*
 * A part of the area and of the proportions that are drawn, where it lies inside the image; after ten
 * attempts the largest part around the center that has such proportions, as PyTorch does it.
 */
cn_image_part cn_frame_choose(const void *frame, int rows, int columns)
{
    enum { ATTEMPTS = 10 };
    const cn_frame *f = frame;
    const source s = {f->seed, f->stream, f->index};
    const double narrow = 3.0 / 4, wide = 4.0 / 3, pixels = (double)rows * columns;
    cn_image_part part = {.height = rows, .width = columns};
    for (uint64_t draw = FRAME; draw < FRAME + 4 * ATTEMPTS; draw += 4) {
        double area = pixels * (f->least + (1 - f->least) * uniform(&s, draw));
        double span = cn_log(wide) - cn_log(narrow);
        double ratio = cn_exp(cn_log(narrow) + span * uniform(&s, draw + 1));
        int height = (int)(sqrt(area / ratio) + 0.5), width = (int)(sqrt(area * ratio) + 0.5);
        if (height < 1 || width < 1 || height > rows || width > columns) continue;
        part.top = (int)(uniform(&s, draw + 2) * (rows - height + 1));
        part.left = (int)(uniform(&s, draw + 3) * (columns - width + 1));
        part.height = height;
        part.width = width;
        return part;
    }
    if (columns < rows * narrow) part.height = (int)(columns / narrow + 0.5);
    if (columns > rows * wide) part.width = (int)(rows * wide + 0.5);
    part.top = (rows - part.height) / 2;
    part.left = (columns - part.width) / 2;
    return part;
}

void cn_augment_draw(const cn_augment *a, uint64_t seed, int epoch, int index, int size,
                     const int shape[3], cn_augment_draws *draws)
{
    const source now = {seed, streams + (uint64_t)epoch, index}, once = {seed, streams, index};
    *draws = (cn_augment_draws){
        .warp = {.scale = 1}, .jitter = {1, 1, 1}, .partner = index, .weight = 1};
    draws->frame = (cn_frame){seed, now.stream, index, a->random_resized_crop};
    if (a->crop > 0) {
        draws->down = whole(&now, CROP_DOWN, 2 * a->crop + 1) - a->crop;
        draws->right = whole(&now, CROP_RIGHT, 2 * a->crop + 1) - a->crop;
    }
    /* Alternating: the first epoch is a draw, and each other one the opposite of the one before. */
    if (a->flip == CN_FLIP_RANDOM || a->flip == CN_FLIP_ALL)
        draws->flip = uniform(&now, FLIP) < 0.5;
    else if (a->flip == CN_FLIP_ALTERNATING)
        draws->flip = (uniform(&once, FLIP) < 0.5) != (epoch % 2 == 0);
    if (a->flip == CN_FLIP_ALL)
        draws->turns = shape[0] == shape[1] ? whole(&now, TURNS, 4) : 2 * whole(&now, TURNS, 2);
    draw_warp(a, &now, &draws->warp);
    draw_jitter(a, &now, &draws->jitter);
    if (a->cutout > 0) {
        draws->hole[0] = whole(&now, HOLE_ROW, shape[0]) - a->cutout / 2;
        draws->hole[1] = whole(&now, HOLE_COLUMN, shape[1]) - a->cutout / 2;
    }
    if (a->mixup > 0) {
        draws->partner = whole(&now, PARTNER, size);
        draws->weight = mix_weight(&now, a->mixup);
    }
}

cn_status cn_augment_check(const cn_augment *a, const int shape[3], const char *what, cn_error *err)
{
    const int side = shape[0] < shape[1] ? shape[0] : shape[1];
    const struct {
        const char *name;
        double value, most;
    } members[] = {
        {"border", a->border, CN_BORDER_REFLECT},
        {"crop", a->crop, side - 1},
        {"flip", a->flip, CN_FLIP_ALL},
        {"shift", a->shift, side - 1},
        {"rotate", a->rotate, 180},
        {"scale", a->scale, 0.9},
        {"brightness", a->brightness, 1},
        {"contrast", a->contrast, 1},
        {"saturation", a->saturation, 1},
        {"cutout", a->cutout, side},
        {"mixup", a->mixup, 1000},
        {"random-resized-crop", a->random_resized_crop, 1},
    };
    for (size_t i = 0; i < sizeof members / sizeof *members; i++)
        if (!(members[i].value >= 0 && members[i].value <= members[i].most))
            return cn_fail(err, CN_ERR_ARGUMENT,
                           "%s: %s is %g, expected 0 to %g for images of %d x %d", what,
                           members[i].name, members[i].value, members[i].most, shape[0], shape[1]);
    return CN_OK;
}
