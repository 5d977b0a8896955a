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
    UNITS = 4,       /* pieces of work a thread, where the problem has as many */
};

typedef struct correlation {
    pictures g;
    const float *packed, *bias; /* bias repeats after biases channels */
    float *y;
    int biases;
    ptrdiff_t y_image, y_row, y_pixel; /* backward data writes every s-th pixel */
    int oc;
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
    else
        split(g, BAND_FLOATS, 0, TILE_ROWS_1, most);
    g->run = g->run < g->ow ? smaller(g->run, RUN_PIXELS) : g->run;
    g->runs = parts_of(g->ow, g->run);
    s->panels = parts_of(s->oc, PANEL);
    s->shares = smaller(s->panels, parts_of(wanted, g->groups * g->bands * g->runs));
    s->band = band_floats(g);
}

/* One panel of pixels of output row p, from q on. */
INLINE tile tile_at(const correlation *s, const float *rows, int p, int q, int column,
                    const float *bias, float *y)
{
    const pictures *g = &s->g;
    const int width = panel_vectors_at(s->oc, column) * LANES;
    const int depth = g->fw * g->c, top = p * g->sh - g->pt;
    const int u0 = smaller(g->fh, larger(0, -top)), u1 = larger(u0, smaller(g->fh, g->h - top));
    const float *packed = s->packed + (ptrdiff_t)g->fh * depth * column;
    return (tile){.a = rows + (top + u0) * g->row + (ptrdiff_t)q * g->sw * g->c,
                  .b = packed + (ptrdiff_t)u0 * depth * width,
                  .c = y + p * s->y_row + q * s->y_pixel + column,
                  .N = 1,
                  .T = u1 - u0,
                  .K = depth,
                  .at = g->row,
                  .lda = (ptrdiff_t)g->sw * g->c,
                  .bt = (ptrdiff_t)depth * width,
                  .ldc = s->y_pixel,
                  .columns = smaller(s->oc - column, width),
                  .bias = bias,
                  .relu = s->relu};
}

/* Output row p, pixels q0 <= q < q1, of one panel, or one pixel of several; `spare` floats of y
 * behind them come later. */
static void correlate_row(const correlation *s, const float *rows, int p, int q0, int q1,
                          int column, int panels, const float *bias, float *y, ptrdiff_t spare)
{
    tile job = tile_at(s, rows, p, q0, column, bias, y);
    job.spare = spare;
    if (panels > 1)
        run_row(panels, &job, (ptrdiff_t)s->g.fh * s->g.fw * s->g.c * PANEL);
    else
        run_rows(&job, false, q1 - q0, panel_vectors_at(s->oc, column));
}

/* One panel of n whole pictures that lie `image` floats apart. */
static void correlate_across(const correlation *s, const float *rows, int n, ptrdiff_t image,
                             int column, const float *bias, float *y)
{
    for (int p = 0; p < s->g.oh; p++)
        for (int q = 0; q < s->g.ow; q++) {
            tile job = tile_at(s, rows, p, q, column, bias, y);
            job.lda = image;
            job.ldc = s->y_image;
            run_rows(&job, false, n, panel_vectors_at(s->oc, column));
        }
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
    /* What a row writes too much, the next row overwrites, where it begins behind it. */
    const ptrdiff_t spare = s->y_row == (ptrdiff_t)g->ow * s->oc ? s->y_row : 0;
    const int panel0 = share * s->panels / s->shares;
    const int panel1 = (share + 1) * s->panels / s->shares;
    const int end = smaller(s->oc, panel1 * PANEL);
    for (int column = panel0 * PANEL, panels; column < end; column += panels * PANEL) {
        float bias[ROW_PANELS * PANEL] = {0};
        panels =
            s->across || q1 - q0 > 1 ? 1 : larger(1, smaller(ROW_PANELS, (end - column) / PANEL));
        for (int j = 0; s->bias && j < smaller(panels * PANEL, s->oc - column); j++)
            bias[j] = s->bias[(column + j) % s->biases];
        if (s->across)
            correlate_across(s, rows, i1 - i0, image, column, s->bias ? bias : NULL,
                             s->y + i0 * s->y_image);
        for (int i = i0; i < i1 && !s->across; i++)
            for (int p = p0; p < p1; p++)
                correlate_row(s, rows + (i - i0) * image, p, q0, q1, column, panels,
                              s->bias ? bias : NULL, s->y + i * s->y_image, p + 1 < p1 ? spare : 0);
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
    f.relu = relu;
    f.scratch = scratch;
    correlate(&f, pool);
}
