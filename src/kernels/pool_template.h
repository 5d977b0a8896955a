/*
 * pool_template.h - maximum and average over windows; vectors run over the channels.
 *
 *     y[i,p,q,c] = max or mean over the window's elements inside the picture of x[i, r, s, c]
 */

/* The part of window (p, q) that lies inside the picture: rows r0 <= r < r1, columns s0 <= s < s1.
 */
typedef struct inside {
    int r0, r1, s0, s1;
} inside;

INLINE inside window_inside(const cn_conv_shape *s, int p, int q)
{
    const int r = p * s->sh - s->pt, c = q * s->sw - s->pl;
    return (inside){larger(0, r), smaller(s->h, r + s->fh), larger(0, c), smaller(s->w, c + s->fw)};
}

INLINE ptrdiff_t pixel(const cn_conv_shape *s, int r, int column)
{
    return ((ptrdiff_t)r * s->w + column) * s->c;
}

/* Channel blocks of a pixel: whole vectors, the last one moved back so that it ends with the pixel
 * (writing some channels twice). A pixel narrower than a vector is one block. */
INLINE int next_block(int c, int channels)
{
    const int next = c + LANES;
    return next >= channels ? channels : smaller(next, larger(channels - LANES, c + 1));
}

/* Writes a pixel's block: whole where it ends inside [p, end), else its `channels` alone. */
INLINE void store_block(float *p, vf v, int channels, const float *end)
{
    if (p + LANES <= end)
        store(p, v);
    else
        store_part(p, v, smaller(channels, LANES));
}

typedef struct pooling {
    const cn_conv_shape *s;
    const float *x, *y, *dy;
    float *out;
    bool ties;
} pooling;

static vf window_maximum(const cn_conv_shape *s, const float *x, inside n)
{
    vf most = load(x + pixel(s, n.r0, n.s0));
    for (int r = n.r0; r < n.r1; r++) {
        for (int c = n.s0; c < n.s1; c++) {
            const vf v = load(x + pixel(s, r, c));
            most = choose((v > most) | (v != v), v, most); /* a NaN wins, and stays */
        }
    }
    return most;
}

static vf window_mean(const cn_conv_shape *s, const float *x, inside n)
{
    vf sum = {0};
    for (int r = n.r0; r < n.r1; r++)
        for (int c = n.s0; c < n.s1; c++) sum += load(x + pixel(s, r, c));
    return sum / (float)((n.r1 - n.r0) * (n.s1 - n.s0));
}

/* One picture forward. */
INLINE void pool_picture(const pooling *job, int image,
                         vf (*reduce)(const cn_conv_shape *, const float *, inside))
{
    const cn_conv_shape *s = job->s;
    const float *x = job->x + (ptrdiff_t)image * s->h * s->w * s->c;
    float *y = job->out + (ptrdiff_t)image * s->oh * s->ow * s->c;
    const float *end = y + (ptrdiff_t)s->oh * s->ow * s->c;
    for (int p = 0; p < s->oh; p++) {
        for (int q = 0; q < s->ow; q++, y += s->c) {
            const inside n = window_inside(s, p, q);
            for (int c = 0; c < s->c; c = next_block(c, s->c))
                store_block(y + c, reduce(s, x + c, n), s->c, end);
        }
    }
}

static void max_pool_unit(void *argument, int unit, int worker)
{
    (void)worker;
    pool_picture(argument, unit, window_maximum);
}

static void average_pool_unit(void *argument, int unit, int worker)
{
    (void)worker;
    pool_picture(argument, unit, window_mean);
}

static void max_pool_forward(const cn_conv_shape *s, const float *x, float *y, cn_pool *pool)
{
    pooling job = {.s = s, .x = x, .out = y};
    cn_pool_run(pool, s->m, max_pool_unit, &job);
}

static void average_pool_forward(const cn_conv_shape *s, const float *x, float *y, cn_pool *pool)
{
    pooling job = {.s = s, .x = x, .out = y};
    cn_pool_run(pool, s->m, average_pool_unit, &job);
}

/* dx += v for a block of a pixel. Lanes that belong to the next pixel, or that an earlier block has
 * already written, add nothing. */
INLINE void add_block(float *p, vf v, vi lanes, int channels, const float *end)
{
    const vf zero = {0};
    if (p + LANES <= end)
        store(p, load(p) + choose(lanes, v, zero));
    else
        for (int j = 0; j < smaller(channels, LANES); j++) p[j] += lanes[j] ? v[j] : 0;
}

/* The lanes of the block at channel c that are its own: those from `from` on, within the pixel. */
INLINE vi own_lanes(int c, int from, int channels)
{
    return first_lanes(channels - c) & ~first_lanes(from - c);
}

/* dx = dy where x is the window's maximum: at the first such element, or with ties at all. */
static void max_window_backward(const pooling *job, const float *x, float *dx, vf y, vf dy,
                                inside n, vi lanes, const float *end)
{
    const cn_conv_shape *s = job->s;
    for (int r = n.r0; r < n.r1; r++) {
        for (int c = n.s0; c < n.s1; c++) {
            const vf v = load(x + pixel(s, r, c));
            /* Where the maximum is a NaN, the NaNs are it. */
            const vi found = ((v == y) | ((v != v) & (y != y))) & lanes;
            add_block(dx + pixel(s, r, c), dy, found, s->c, end);
            if (!job->ties) lanes &= ~found;
        }
    }
}

static void max_pool_backward_unit(void *argument, int unit, int worker)
{
    (void)worker;
    const pooling *job = argument;
    const cn_conv_shape *s = job->s;
    const ptrdiff_t in = (ptrdiff_t)s->h * s->w * s->c, out = (ptrdiff_t)s->oh * s->ow * s->c;
    const float *x = job->x + unit * in, *y = job->y + unit * out, *dy = job->dy + unit * out;
    float *dx = job->out + unit * in;
    const float *end = dx + in;
    memset(dx, 0, (size_t)in * sizeof *dx);
    for (int p = 0; p < s->oh; p++) {
        for (int q = 0; q < s->ow; q++, y += s->c, dy += s->c) {
            const inside n = window_inside(s, p, q);
            for (int c = 0, from = 0; c < s->c; from = c + LANES, c = next_block(c, s->c))
                max_window_backward(job, x + c, dx + c, load(y + c), load(dy + c), n,
                                    own_lanes(c, from, s->c), end);
        }
    }
}

static void max_pool_backward(const cn_conv_shape *s, const float *x, const float *y,
                              const float *dy, bool ties, float *dx, cn_pool *pool)
{
    pooling job = {.s = s, .x = x, .y = y, .dy = dy, .out = dx, .ties = ties};
    cn_pool_run(pool, s->m, max_pool_backward_unit, &job);
}

static void average_pool_backward_unit(void *argument, int unit, int worker)
{
    (void)worker;
    const pooling *job = argument;
    const cn_conv_shape *s = job->s;
    const ptrdiff_t in = (ptrdiff_t)s->h * s->w * s->c, out = (ptrdiff_t)s->oh * s->ow * s->c;
    const float *dy = job->dy + unit * out;
    float *dx = job->out + unit * in;
    const float *end = dx + in;
    memset(dx, 0, (size_t)in * sizeof *dx);
    for (int p = 0; p < s->oh; p++) {
        for (int q = 0; q < s->ow; q++, dy += s->c) {
            const inside n = window_inside(s, p, q);
            const float share = 1 / (float)((n.r1 - n.r0) * (n.s1 - n.s0));
            for (int c = 0, from = 0; c < s->c; from = c + LANES, c = next_block(c, s->c)) {
                const vi lanes = own_lanes(c, from, s->c);
                const vf part = load(dy + c) * share;
                for (int r = n.r0; r < n.r1; r++)
                    for (int k = n.s0; k < n.s1; k++)
                        add_block(dx + pixel(s, r, k) + c, part, lanes, s->c, end);
            }
        }
    }
}

static void average_pool_backward(const cn_conv_shape *s, const float *dy, float *dx, cn_pool *pool)
{
    pooling job = {.s = s, .dy = dy, .out = dx};
    cn_pool_run(pool, s->m, average_pool_backward_unit, &job);
}
