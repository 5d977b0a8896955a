/*
 * backward_weights_template.h - the gradient of a convolution's weights.
 *
 *     dw[u,v,j,k] = sum_{i,p,q} x[i, p sh + u - pt, q sw + v - pl, j] dy[i,p,q,k]
 *     db[k]       = sum_{i,p,q} dy[i,p,q,k]
 *
 * A tile holds a few rows (v, j) of one kernel row u of dw and one panel of channels k, and sums
 * over pixels: x is read transposed, dy a panel at a time. Threads share out dw, not the pixels, so
 * the order of a sum never depends on them.
 */

enum {
    GRADIENT_PIXELS = 96, /* that a tile sums over at least: it reads and writes dw, too */
    ASIDE_PIXELS = 256,   /* the same where x is copied side by side */
};

typedef struct weights_gradient {
    pictures g;
    const float *dy;
    float *dw, *db;
    int oc, biases;
    int panels, tiles; /* of dw's columns, and of the fw c rows of one kernel row */
    int shares;        /* parts that dw is shared out in */
    float *scratch;
    int chunk;                 /* tiles of rows worked on at a time */
    bool aside;                /* x is copied for them, each tile's rows side by side */
    size_t band, panel, apart; /* floats of a worker's: rows of x, a panel of dy, a tile's rows */
} weights_gradient;

/* NV neighbouring vectors of every pixel, summed over them. */
INLINE void sum_pixels(const int NV, size_t pixels, const float *dy, size_t pixel, float *sums)
{
    vf acc[8] = {{0}};
    for (size_t p = 0; p < pixels; p++, dy += pixel) {
        UNROLL
        for (int j = 0; j < NV; j++) acc[j] += load(dy + j * LANES);
    }
    UNROLL
    for (int j = 0; j < NV; j++) store(sums + j * LANES, acc[j]);
}

/*
 * db[k] += sum over pixels of dy[., k]. As many pixels as fill whole vectors are summed lane by
 * lane first (3 vectors hold 4 pixels of 6 channels with 8 lanes), so that no channel count is
 * slow.
 */
static void add_columns(size_t pixels, int oc, const float *dy, float *db)
{
    float sums[16 * LANES];
    int together = 1;
    while (together < LANES && together * oc % LANES != 0) together++;
    const size_t period = (size_t)(together * oc), whole = pixels / (size_t)together;
    size_t done = 0;
    if (together * oc <= 16 * LANES && together * oc % LANES == 0 && whole > 1) {
        size_t j = 0;
        for (; j + 8 * LANES <= period; j += 8 * LANES)
            sum_pixels(8, whole, dy + j, period, sums + j);
        for (; j + 2 * LANES <= period; j += 2 * LANES)
            sum_pixels(2, whole, dy + j, period, sums + j);
        if (j < period) sum_pixels(1, whole, dy + j, period, sums + j);
        for (j = 0; j < period; j++) db[j % (size_t)oc] += sums[j];
        done = whole * (size_t)together;
    }
    for (size_t p = done; p < pixels; p++)
        for (int k = 0; k < oc; k++) db[k] += dy[p * (size_t)oc + (size_t)k];
}

/* What is summed over at a time: output rows p0 <= p < p1 and columns q0 <= q < q1 of pictures
 * i0 <= i < i1, with their rows of x and one panel of dy. */
typedef struct piece {
    int i0, i1, p0, p1, q0, q1;
    const float *rows; /* see padded_rows */
    ptrdiff_t image;
    const float *aside; /* rows copied side by side, from tile `part0` of rows on */
    int part0;
    const float *dy; /* at (i0, p0, q0) and the panel's first column */
    ptrdiff_t dy_image, dy_row, dy_pixel;
} piece;

/* Pixels of one panel of dy side by side; sums[j] += their sum. */
INLINE float *copy_pixels(const int NV, int pixels, const float *from, int oc, float *copy,
                          vf *sums)
{
    for (int q = 0; q < pixels; q++, from += oc, copy += NV * LANES) {
        UNROLL
        for (int j = 0; j < NV; j++) {
            const vf v = load(from + j * LANES);
            store(copy + j * LANES, v);
            sums[j] += v;
        }
    }
    return copy;
}

/*
 * The panel's columns of dy. Where they are part of a longer pixel they are copied side by side:
 * pixels that lie a power of two apart would share a few sets of the first-level cache, and push
 * each other out. Adds what is copied to db, unless that is NULL.
 */
static void take_panel(const weights_gradient *s, int panel, float *copy, float *db, piece *z)
{
    const pictures *g = &s->g;
    const int column = panel * PANEL, vectors = panel_vectors_at(s->oc, column);
    const int pixels = z->q1 - z->q0, rows = z->p1 - z->p0;
    const ptrdiff_t row = (ptrdiff_t)g->ow * s->oc;
    const float *from =
        s->dy + ((ptrdiff_t)z->i0 * g->oh + z->p0) * row + (ptrdiff_t)z->q0 * s->oc + column;
    vf sums[2] = {{0}, {0}};
    z->dy = from;
    z->dy_pixel = s->oc;
    z->dy_row = row;
    z->dy_image = g->oh * row;
    if (s->oc <= PANEL) return;
    z->dy = copy;
    z->dy_pixel = vectors * LANES;
    z->dy_row = pixels * z->dy_pixel;
    z->dy_image = rows * z->dy_row;
    for (int i = z->i0; i < z->i1; i++, from += g->oh * row)
        for (int p = 0; p < rows; p++)
            copy = vectors == 2 ? copy_pixels(2, pixels, from + p * row, s->oc, copy, sums)
                                : copy_pixels(1, pixels, from + p * row, s->oc, copy, sums);
    for (int j = 0; db && j < smaller(PANEL, s->oc - column); j++)
        db[column + j] += sums[j / LANES][j % LANES];
}

/* Rows first <= row < first + rows of dw: tile `part` of `count` nearly equal ones. */
INLINE int tile_of(int depth, int part, int count, int *first)
{
    const int n = depth / count, more = depth % count;
    *first = part * n + smaller(part, more);
    return n + (part < more);
}

/*
 * The channels of x that tiles part0 <= part < part1 of a 1 x 1 convolution take, each tile's side
 * by side: a tile takes six of the many channels of a pixel, and pixels a power of two apart share
 * sets of the cache. A few pixels at a time, whose cache lines last until all tiles have taken
 * their part. Copied in whole vectors: the next pixel overwrites what is too much.
 */
static void take_aside(const weights_gradient *s, int part1, float *copy, piece *z)
{
    enum { TOGETHER = 8 };
    const pictures *g = &s->g;
    const ptrdiff_t step = (ptrdiff_t)g->sw * g->c;
    ptrdiff_t done = 0;
    z->aside = copy;
    for (int i = z->i0; i < z->i1; i++)
        for (int p = z->p0; p < z->p1; p++) {
            const float *row = z->rows + (i - z->i0) * z->image + p * g->sh * g->row;
            for (int q0 = z->q0; q0 < z->q1; q0 += TOGETHER) {
                const int pixels = smaller(TOGETHER, z->q1 - q0);
                for (int part = z->part0; part < part1; part++) {
                    int first;
                    const int n = tile_of(g->c, part, s->tiles, &first);
                    const float *from = row + q0 * step + first;
                    float *to = copy + (size_t)(part - z->part0) * s->apart + done * n;
                    for (int q = 0; q < pixels; q++, from += step, to += n)
                        for (int j = 0; j < TILE_ROWS_2; j += LANES) store(to + j, load(from + j));
                }
                done += pixels;
            }
        }
}

/* Entry (panel, kernel row u, tile of rows) of dw, summed over one piece. */
static void add_gradient(const weights_gradient *s, const piece *z, int entry)
{
    const pictures *g = &s->g;
    const int part = entry % s->tiles, u = entry / s->tiles % g->fh;
    const int depth = g->fw * g->c, column = entry / s->tiles / g->fh * PANEL;
    const int vectors = panel_vectors_at(s->oc, column);
    const int count = s->aside ? s->tiles : tiles_of(depth, panel_rows(vectors));
    int row;
    if (part >= count) return;
    const int n = tile_of(depth, part, count, &row);
    /* The output rows whose kernel row u lies inside the picture: 0 <= p sh + u - pt < h. */
    const int low = larger(z->p0, g->pt > u ? parts_of(g->pt - u, g->sh) : 0);
    const int last = g->h - 1 + g->pt - u;
    const int high = smaller(z->p1, last < 0 ? 0 : last / g->sh + 1);
    if (low >= high) return;
    tile job = {.a = z->rows + (low * g->sh + u - g->pt) * g->row +
                     (ptrdiff_t)z->q0 * g->sw * g->c + row,
                .b = z->dy + (low - z->p0) * z->dy_row,
                .c = s->dw + ((ptrdiff_t)u * depth + row) * s->oc + column,
                .N = z->i1 - z->i0,
                .T = high - low,
                .K = z->q1 - z->q0,
                .an = z->image,
                .at = g->sh * g->row,
                .lda = (ptrdiff_t)g->sw * g->c,
                .bn = z->dy_image,
                .bt = z->dy_row,
                .ldb = z->dy_pixel,
                .ldc = s->oc,
                .columns = smaller(s->oc - column, vectors * LANES),
                .accumulate = true};
    if (s->aside) {
        job.a = z->aside + (size_t)(part - z->part0) * s->apart;
        job.lda = n;
        job.K *= job.N * job.T;
        job.N = job.T = 1;
    }
    tiles[1][vectors - 1][n - 1](&job, 1);
}

/* A share of dw's entries over all pictures: who computes an entry does not change its sum. The
 * first unit is db, where taking the panels does not sum it. */
static void gradient_unit(void *argument, int unit, int worker)
{
    const weights_gradient *s = argument;
    const pictures *g = &s->g;
    if (unit == 0) {
        const size_t floats = (size_t)g->m * (size_t)g->oh * (size_t)g->ow * (size_t)s->oc;
        if (s->db && s->oc <= PANEL)
            add_columns(floats / (size_t)s->biases, s->biases, s->dy, s->db);
        return;
    }
    const int per_panel = g->fh * s->tiles, entries = s->panels * per_panel, share = unit - 1;
    const int e0 = (int)((int64_t)share * entries / s->shares);
    const int e1 = (int)((int64_t)(share + 1) * entries / s->shares);
    float *band = s->scratch + (size_t)worker * (s->band + s->panel);
    for (int part = 0; part < g->groups * g->bands * g->runs; part++) {
        piece z = {.i0 = part / g->runs / g->bands * g->group,
                   .p0 = part / g->runs % g->bands * g->band_rows,
                   .q0 = part % g->runs * g->run};
        z.i1 = smaller(g->m, z.i0 + g->group);
        z.p1 = smaller(g->oh, z.p0 + g->band_rows);
        z.q1 = smaller(g->ow, z.q0 + g->run);
        z.rows = padded_rows(g, z.i0, z.i1, z.p0, z.p1, band, &z.image);
        for (; z.part0 < per_panel; z.part0 += s->chunk) {
            const int part1 = smaller(per_panel, z.part0 + s->chunk);
            if (s->aside) take_aside(s, part1, band, &z);
            for (int panel = e0 / per_panel; panel * per_panel < e1; panel++) {
                const int low = larger(e0, panel * per_panel + z.part0);
                const int high = smaller(e1, panel * per_panel + part1);
                if (low >= high) continue;
                take_panel(s, panel, band + s->band, low % per_panel ? NULL : s->db, &z);
                for (int e = low; e < high; e++) add_gradient(s, &z, e);
            }
        }
    }
}

/* Of the folded convolution. */
static weights_gradient gradient_of(const cn_conv_shape *s, const float *x)
{
    weights_gradient f = {.g = pictures_of(s, x, s->sh == 1), .oc = s->oc};
    pictures *g = &f.g;
    f.aside = s->fh == 1 && s->fw == 1 && s->oc > PANEL && g->in_place && s->pt == 0 &&
              (s->oh - 1) * s->sh < s->h;
    split(g, BAND_FLOATS, PANEL, f.aside ? ASIDE_PIXELS : GRADIENT_PIXELS, g->m);
    const size_t pixels = (size_t)g->group * (size_t)g->band_rows * (size_t)g->run;
    f.panels = parts_of(s->oc, PANEL);
    f.tiles = tiles_of(g->fw * g->c, s->oc > LANES ? TILE_ROWS_2 : TILE_ROWS_1);
    f.chunk = g->fh * f.tiles;
    f.band = band_floats(g);
    if (s->oc > PANEL) f.panel = pixels * PANEL;
    if (f.aside) {
        f.apart = pixels * TILE_ROWS_2 + LANES;
        f.chunk = smaller(f.chunk, (int)(BAND_FLOATS / f.apart) + 1);
        f.band = f.apart * (size_t)f.chunk;
    }
    return f;
}

/* dw[u,v,j,k] += sum_e dw'[u, v + e sw, j, (e, k)], the gradient of fold's w'. */
static void unfold(const cn_conv_shape *s, const folded *f, const float *wide, float *dw)
{
    const int oc = s->oc, rows = f->s.fw * s->c;
    for (int u = 0; u < s->fh; u++)
        for (int e = 0; e < f->g; e++)
            for (int r = 0; r < s->fw * s->c; r++) {
                const float *from = wide + ((ptrdiff_t)u * rows + r + e * s->sw * s->c) * f->s.oc;
                float *to = dw + ((ptrdiff_t)u * s->fw * s->c + r) * oc;
                for (int k = 0; k < oc; k++) to[k] += from[e * oc + k];
            }
}

static size_t wide_floats(const folded *f)
{
    return f->g == 1 ? 0 : (size_t)f->s.fh * (size_t)f->s.fw * (size_t)f->s.c * (size_t)f->s.oc;
}

static void direct_backward_weights(const cn_conv_shape *s, const float *x, const float *dy,
                                    float *dw, float *db, float *scratch, cn_pool *pool)
{
    const folded wide = fold(s);
    weights_gradient f = gradient_of(&wide.s, x);
    f.dy = dy;
    f.dw = wide.g == 1 ? dw : scratch;
    f.db = db;
    f.biases = s->oc;
    f.scratch = scratch + wide_floats(&wide);
    f.shares = cn_pool_threads(pool);
    memset(scratch, 0, wide_floats(&wide) * sizeof *scratch);
    cn_pool_run(pool, 1 + f.shares, gradient_unit, &f);
    if (wide.g > 1) unfold(s, &wide, scratch, dw);
}
