/*
 * input_view_template.h - the input of a convolution: rows of images, padded or in place.
 *
 * In a row of x the taps (v, j) of a window are one run of fw c contiguous floats, so that a
 * convolution needs no column matrix (im2col). Where there is padding, rows are copied with their
 * zeros, a band of rows at a time; kernel rows outside the image are left out of the sums, so a
 * band needs no zeros above and below. Without padding, rows are read in place. Rows of bf16 pairs
 * are always copied, because the copy rounds them.
 *
 * Parameter: LANES. Provides: input_view, block_view, divide_view, padded_rows, gathered_pixels,
 * copy_run.
 */
#ifndef CN_INPUT_VIEW_TEMPLATE_H
#define CN_INPUT_VIEW_TEMPLATE_H

#include "kernels/conv/conv.h"
#include "kernels/tile/tile_template.h"

/* Floats of the rows of a work block: they stay in the second-level cache. */
enum { BAND_FLOATS = 48 * 1024 };

/* pt and pl may be negative: then the first window begins inside the image. */
typedef struct input_view {
    const float *x;
    int x_channels; /* floats read of a pixel of x: c, or those that make c pairs */
    int x_pixel;    /* and from one pixel to the next: more where only a group's are read */
    bool pairs;
    int m, h, w, c;
    int fh, fw, sh, sw, pt, pl, oh, ow;
    int columns;              /* of a padded row */
    bool in_place;            /* no window leaves its row: rows are not copied */
    int gather;               /* the stride of pixels that are gathered from x; 0: none are */
    int from_h, from_w;       /* the images that they are gathered from, */
    int from_oh, from_ow;     /* and their outputs */
    ptrdiff_t row, image;     /* floats from one to the next; a padded row's or the image's */
    int band_rows, bands;     /* output rows of a band, and bands of an image */
    int run, runs;            /* output pixels of a row taken at a time, and such runs of a row */
    int group, groups;        /* images taken together, whole ones only */
    int most_run, most_group; /* with fewer images, too: scratch memory must suffice for them */
} input_view;

/* The view, not yet divided into blocks. `channels`: of x, where the c of s counts pairs of them;
 * else 0. `joined`: each row of outputs begins where the one before it ends. */
static input_view view_of(const cn_conv_problem *s, int channels, bool joined)
{
    input_view g = {.x_channels = channels ? channels : s->c,
                    .x_pixel = channels ? channels : s->c,
                    .pairs = channels > 0,
                    .m = s->m,
                    .h = s->h,
                    .w = s->w,
                    .c = s->c,
                    .fh = s->fh,
                    .fw = s->fw,
                    .sh = s->sh,
                    .sw = s->sw,
                    .pt = s->pt,
                    .pl = s->pl,
                    .oh = s->oh,
                    .ow = s->ow};
    /* The pixels that a 1 x 1 convolution reads are one long row, divided into runs; with a stride
     * they are gathered first. */
    if (joined && s->fh == 1 && s->fw == 1 && s->sh == s->sw && s->pt == 0 && s->pl == 0 &&
        (s->oh - 1) * s->sh < s->h && (s->ow - 1) * s->sw < s->w &&
        (s->sh > 1 || (s->oh == s->h && s->ow == s->w)) &&
        (int64_t)s->m * s->h * s->w <= INT32_MAX) {
        if (s->sh > 1 || g.pairs) g.gather = s->sh;
        g.from_h = s->h;
        g.from_w = s->w;
        g.from_oh = s->oh;
        g.from_ow = s->ow;
        g.w = g.ow = s->m * s->oh * s->ow;
        g.m = g.h = g.oh = g.sh = g.sw = 1;
    }
    g.columns = (g.ow - 1) * g.sw + g.fw;
    g.in_place = (g.gather || !g.pairs) && g.pl <= 0 && g.columns - g.pl <= g.w;
    g.row = (ptrdiff_t)(g.in_place ? g.w : g.columns) * g.c;
    g.image = (ptrdiff_t)g.h * g.w * g.c;
    return g;
}

/* The same of a group of channels, of images with `pixel` of them: its rows are copied. */
static input_view view_of_group(const cn_conv_problem *s, int pixel)
{
    input_view g = view_of(s, 0, false);
    g.x_pixel = pixel;
    g.in_place = false;
    g.row = (ptrdiff_t)g.columns * g.c;
    return g;
}

/* Plans blocks of about `floats` floats of the input, counting `beside` more per output pixel, with
 * at least `pixels` output pixels: bands of rows; several whole images, where they fit; or runs of
 * a single row. */
PLANNING cn_conv_blocking block_view(const input_view *g, int floats, int beside, int pixels)
{
    const ptrdiff_t row = max(1, g->sh) * g->row + (ptrdiff_t)g->ow * beside;
    const int fits = max((int)(floats / (row > 0 ? row : 1)), div_ceil(pixels, g->ow));
    const int run = max(pixels, floats / min(floats, g->c * g->sw + beside));
    const int bands = div_ceil(g->oh, max(1, min(g->oh, fits)));
    return (cn_conv_blocking){.rows = div_ceil(g->oh, bands),
                              .images = bands > 1 ? 1 : max(1, fits / g->oh),
                              .pixels = g->oh == 1 && g->in_place ? run : INT32_MAX};
}

/* Divides the input into blocks as planned, of at most `images` images and nearly equal size. */
static void divide_view(input_view *g, const cn_conv_blocking *planned, int images)
{
    g->band_rows = planned->rows;
    g->bands = div_ceil(g->oh, g->band_rows);
    g->most_group = max(1, min(min(planned->images, images), g->m));
    g->groups = div_ceil(g->m, g->most_group);
    g->group = div_ceil(g->m, g->groups);
    g->most_run = min(g->ow, planned->pixels);
    g->runs = div_ceil(g->ow, g->most_run);
    g->run = div_ceil(g->ow, g->runs);
}

/* The rows first <= r < end of x that output rows p0 <= p < p1 read. */
INLINE int first_row(const input_view *g, int p0)
{
    return min(g->h, max(0, p0 * g->sh - g->pt));
}

INLINE int end_row(const input_view *g, int p1)
{
    return max(0, min(g->h, (p1 - 1) * g->sh + g->fh - g->pt));
}

/* Floats of the padded rows of one group of images. */
static size_t band_floats(const input_view *g)
{
    if (g->gather) return (size_t)g->most_run * (size_t)g->c;
    if (g->in_place) return 0;
    const int rows = min(g->h, (g->band_rows - 1) * g->sh + g->fh);
    return (size_t)g->most_group * (size_t)rows * (size_t)g->row + 2 * LANES;
}

INLINE void copy_run(const float *from, float *to, int n)
{
    int j = 0;
    for (; j + LANES <= n; j += LANES) store(to + j, load(from + j));
    copy_few(from + j, to + j, n - j);
}

/* The first c floats of pixels that lie `pixel` floats apart. Not inlined: it is called for rows. */
static __attribute__((noinline)) void copy_part(const float *from, int pixel, int pixels, float *to,
                                                int c)
{
    if (c == PANEL)
        for (; pixels > 0; pixels--, from += pixel, to += PANEL) copy_run(from, to, PANEL);
    else
        for (; pixels > 0; pixels--, from += pixel, to += c) copy_run(from, to, c);
}

INLINE void copy_x(const input_view *g, const float *from, int pixels, float *to)
{
    if (g->pairs)
        pair_pixels(from, pixels, g->x_channels, to);
    else if (g->x_pixel > g->c)
        copy_part(from, g->x_pixel, pixels, to, g->c);
    else
        memcpy(to, from, (size_t)pixels * (size_t)g->c * sizeof *to);
}

/* The rows that output rows p0 <= p < p1 of images i0 <= i < i1 read, in place or copied into
 * `band`. Returns where row 0 of image i0 is, or would be; images lie *image floats apart. */
static const float *padded_rows(const input_view *g, int i0, int i1, int p0, int p1, float *band,
                                ptrdiff_t *image)
{
    *image = g->image;
    if (g->in_place) return g->x + i0 * g->image - (ptrdiff_t)g->pl * g->c;
    const int first = first_row(g, p0), end = max(first, end_row(g, p1));
    const int left = min(g->columns, max(0, g->pl)), from = max(0, -g->pl);
    const int inside = max(0, min(g->columns - left, g->w - from));
    const size_t c = (size_t)g->c, zeros = (size_t)left * c, copied = (size_t)inside * c;
    const ptrdiff_t row = (ptrdiff_t)g->w * g->x_pixel;
    float *out = band;
    for (int i = i0; i < i1; i++) {
        for (int r = first; r < end; r++, out += g->row) {
            const float *x = g->x + ((ptrdiff_t)i * g->h + r) * row + (ptrdiff_t)from * g->x_pixel;
            memset(out, 0, zeros * sizeof *out);
            if (copied) copy_x(g, x, inside, out + zeros);
            memset(out + zeros + copied, 0, ((size_t)g->row - zeros - copied) * sizeof *out);
        }
    }
    *image = (end - first) * g->row;
    return band - first * g->row;
}

/* Pixels q0 <= q < q1 of the long row that is gathered, copied into `band`. Returns where pixel 0
 * would be. */
static const float *gathered_pixels(const input_view *g, int q0, int q1, float *band)
{
    if (g->gather == 1) copy_x(g, g->x + (ptrdiff_t)q0 * g->x_channels, q1 - q0, band);
    for (int q = q0; q < q1 && g->gather > 1; q++) {
        const int column = q % g->from_ow, row = q / g->from_ow % g->from_oh;
        const int image = q / g->from_ow / g->from_oh;
        const ptrdiff_t at = ((ptrdiff_t)image * g->from_h + row * g->gather) * g->from_w;
        copy_x(g, g->x + (at + column * g->gather) * g->x_channels, 1,
               band + (ptrdiff_t)(q - q0) * g->c);
    }
    return band - q0 * (ptrdiff_t)g->c;
}

#endif
