/*
 * forward_template.h - direct convolution on register tiles.
 *
 *     y[i,p,q,k] = b[k] + sum_{u,v,j} x[i, p sh + u - pt, q sw + v - pl, j] w[u,v,j,k]
 *
 * One tile computes a few neighbours of a row of y in one panel of channels: for each kernel row u
 * inside the picture it multiplies runs of x, (v, j), with a panel of packed weights. Where rows
 * are so short that they fill tiles badly, it computes the same pixel of a few pictures. Backward
 * data is such a correlation, too, of dy (see backward_data_template.h).
 */

enum {
    RUN_PIXELS = 96, /* of a 1 x 1 convolution at a time */
    UNITS = 4,       /* pieces of work a thread, where the problem has as many; */
    EVEN = 32,       /* and up to so many, if they save more than a 32nd of the time */
};

/* Into how many shares `parts` equal parts of each of so many pieces are dealt, for UNITS a thread
 * or, where the slowest thread then has less to do, more: of 9 units one of two threads has 5. */
static int shares_of(int pieces, int parts, int threads)
{
    const int wanted = threads > 1 ? UNITS * threads : 1, enough = EVEN * threads;
    int best = smaller(parts, parts_of(wanted, pieces)), least = INT32_MAX;
    for (int shares = best; shares <= parts; shares++) {
        const int most = parts_of(pieces * shares, threads) * parts_of(parts, shares);
        if (most < least - least / EVEN) best = shares, least = most;
        if (pieces >= enough / shares) break;
    }
    return best;
}

typedef struct correlation {
    pictures g;
    const float *packed, *bias; /* bias repeats after biases channels */
    float *y;
    int biases;
    ptrdiff_t y_image, y_row, y_pixel; /* backward data writes every s-th pixel */
    int oc;
    bool add;
    float relu;
    bool across;        /* a tile takes one pixel of several pictures, not several of a row */
    int panels, shares; /* of weights; and the parts that they are shared out in */
    float *scratch;
    size_t band;
} correlation;

/* Whether rows fill tiles badly, as 7 = 4 + 3 pixels do, and there are pictures that fill them.
 * Small ones: those that are taken together are copied, or read, together. */
INLINE bool across_pays(const pictures *g)
{
    return g->m >= TILE_ROWS_2 && g->oh * g->ow <= RUN_PIXELS &&
           3 * g->ow <= 2 * TILE_ROWS_2 * tiles_of(g->ow, TILE_ROWS_2);
}

/* Cuts the work into units (group of pictures, band of rows, run of pixels, share of the panels).
 * The threads' number only decides who computes an output, never how. */
static void plan_correlation(correlation *s, int threads)
{
    pictures *g = &s->g;
    const int wanted = threads > 1 ? UNITS * threads : 1;
    const int most = parts_of(g->m, wanted);
    s->across = across_pays(g);
    if (s->across)
        split(g, BAND_FLOATS, 0, TILE_ROWS_2 * g->oh * g->ow, larger(most, TILE_ROWS_2));
    else /* a panel writes a part of each pixel: those of a band stay in the cache, too */
        split(g, BAND_FLOATS, g->oh > 1 ? s->oc : 0, TILE_ROWS_1, most);
    g->run = g->run < g->ow ? smaller(g->run, RUN_PIXELS) : g->run;
    g->runs = parts_of(g->ow, g->run);
    s->panels = parts_of(s->oc, PANEL);
    s->shares = shares_of(g->groups * g->bands * g->runs, s->panels, threads);
    s->band = band_floats(g);
}

/* One panel of weights, or of 1 x 1 ones for a single pixel several. `job` has what all of its
 * tiles have in common: clearing so large a struct takes as long as a few steps of a tile. */
typedef struct weights_panel {
    int vectors, count;
    const float *packed;
    tile job;
} weights_panel;

static weights_panel panel_of(const correlation *s, int column, int count, const float *bias)
{
    const pictures *g = &s->g;
    const int vectors = panel_vectors_at(s->oc, column), depth = g->fw * g->c;
    return (weights_panel){.vectors = vectors,
                           .count = count,
                           .packed = s->packed + (ptrdiff_t)g->fh * depth * column,
                           .job = {.N = 1,
                                   .K = depth,
                                   .at = g->row,
                                   .lda = (ptrdiff_t)g->sw * g->c,
                                   .bt = (ptrdiff_t)depth * vectors * LANES,
                                   .ldc = s->y_pixel,
                                   .columns = smaller(s->oc - column, count * PANEL),
                                   .bias = bias,
                                   .accumulate = s->add,
                                   .relu = s->relu,
                                   .pairs = g->pairs}};
}

/* Leads the tiles to pixel q of output row p, whose first panel is in y. */
INLINE void seek(const correlation *s, weights_panel *w, const float *rows, int p, int q, float *y)
{
    const pictures *g = &s->g;
    const int top = p * g->sh - g->pt;
    const int u0 = smaller(g->fh, larger(0, -top)), u1 = larger(u0, smaller(g->fh, g->h - top));
    w->job.a = rows + (top + u0) * g->row + (ptrdiff_t)q * g->sw * g->c;
    w->job.b = w->packed + u0 * w->job.bt;
    w->job.c = y + p * s->y_row + q * s->y_pixel;
    w->job.T = u1 - u0;
}

/* Output rows p0 <= p < p1, pixels q0 <= q < q1. */
static void correlate_rows(const correlation *s, weights_panel *w, const float *rows, int p0,
                           int p1, int q0, int q1, float *y)
{
    /* What a row writes too much, the next row overwrites, where it begins behind it. */
    const ptrdiff_t spare = s->y_row == (ptrdiff_t)s->g.ow * s->oc ? s->y_row : 0;
    for (int p = p0; p < p1; p++) {
        seek(s, w, rows, p, q0, y);
        w->job.spare = p + 1 < p1 ? spare : 0;
        if (w->count > 1)
            run_row(&w->job, (ptrdiff_t)w->job.K * PANEL);
        else
            run_rows(&w->job, false, q1 - q0, w->vectors);
    }
}

/* n whole pictures that lie `image` floats apart. */
static void correlate_across(const correlation *s, weights_panel *w, const float *rows, int n,
                             ptrdiff_t image, float *y)
{
    w->job.lda = image;
    w->job.ldc = s->y_image;
    for (int p = 0; p < s->g.oh; p++)
        for (int q = 0; q < s->g.ow; q++) {
            seek(s, w, rows, p, q, y);
            run_rows(&w->job, false, n, w->vectors);
        }
}

/* The bias of n channels from `column` on, in whole vectors: where it lies, or copied to `room`. */
INLINE const float *panel_bias(const correlation *s, int column, int n, float *room)
{
    if (!s->bias || (s->biases == s->oc && column + n <= s->oc))
        return s->bias ? s->bias + column : NULL;
    for (int j = 0, k = column % s->biases; j < n; j++, k = k + 1 < s->biases ? k + 1 : 0)
        room[j] = s->bias[k];
    return room;
}

static void correlate_unit(void *argument, int unit, int worker)
{
    const correlation *s = argument;
    const pictures *g = &s->g;
    const int share = unit % s->shares, run = unit / s->shares % g->runs;
    const int band = unit / s->shares / g->runs % g->bands;
    const int group = unit / s->shares / g->runs / g->bands;
    const int p0 = band * g->band_rows, p1 = smaller(g->oh, p0 + g->band_rows);
    const int i0 = group * g->group, i1 = smaller(g->m, i0 + g->group);
    const int q0 = run * g->run, q1 = smaller(g->ow, q0 + g->run);
    ptrdiff_t image = 0;
    float *copy = s->scratch + (size_t)worker * s->band;
    const float *rows =
        g->every ? gathered_pixels(g, q0, q1, copy) : padded_rows(g, i0, i1, p0, p1, copy, &image);
    const int panel0 = share * s->panels / s->shares;
    const int panel1 = (share + 1) * s->panels / s->shares;
    const int end = smaller(s->oc, panel1 * PANEL);
    const int most =
        !s->across && q1 - q0 == 1 && g->fh == 1 && rows_in_panels(g->pairs) ? ROW_PANELS : 1;
    for (int column = panel0 * PANEL, count; column < end; column += count * PANEL) {
        float room[ROW_PANELS * PANEL];
        count = smaller(most, parts_of(end - column, PANEL));
        weights_panel w = panel_of(s, column, count, panel_bias(s, column, count * PANEL, room));
        float *y = s->y + i0 * s->y_image + column;
        look_ahead(&w.job, w.packed + g->fh * w.job.bt,
                   s->across ? g->oh * g->ow : (i1 - i0) * (p1 - p0), s->across ? i1 - i0 : q1 - q0,
                   w.vectors);
        if (s->across) correlate_across(s, &w, rows, i1 - i0, image, y);
        for (int i = i0; i < i1 && !s->across; i++, y += s->y_image)
            correlate_rows(s, &w, rows + (i - i0) * image, p0, p1, q0, q1, y);
    }
}

static void correlate(correlation *s, cn_pool *pool)
{
    const pictures *g = &s->g;
    cn_pool_run(pool, g->groups * g->bands * g->runs * s->shares, correlate_unit, s);
}

static correlation forward_correlation(const cn_conv_shape *s, const float *x, float *y,
                                       int threads)
{
    const cn_conv_shape f = fold(s).s;
    correlation forward = {.g = pictures_of(&f, x, true),
                           .y = y,
                           .oc = f.oc,
                           .biases = s->oc,
                           .y_pixel = f.oc,
                           .y_row = (ptrdiff_t)f.ow * f.oc,
                           .y_image = (ptrdiff_t)f.oh * f.ow * f.oc};
    plan_correlation(&forward, threads);
    return forward;
}

static void direct_forward(const cn_conv_shape *s, const float *x, const float *packed,
                           const float *b, float relu, float *y, float *scratch, cn_pool *pool)
{
    correlation f = forward_correlation(s, x, y, cn_pool_threads(pool));
    f.packed = packed;
    f.bias = b;
    f.add = s->add;
    f.relu = relu;
    f.scratch = scratch;
    correlate(&f, pool);
}
