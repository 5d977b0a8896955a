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
    ASIDE_PIXELS = 256,   /* the same where x is copied for the tiles */
    TOGETHER = 8,         /* pixels copied at a time: their cache lines last meanwhile */
};

typedef struct weights_gradient {
    pictures g;
    const float *dy;
    float *dw, *db;
    int oc, biases;
    int panels, tiles; /* of dw's columns, and of the fw c rows of one kernel row */
    int shares;        /* parts that dw is shared out in */
    float *scratch;
    bool packed, aside;        /* dy is copied for the panels; and x for the tiles, too */
    bool pairs;                /* of neighbouring pixels of a row, in both copies */
    int chunk;                 /* tiles of rows worked on at a time */
    size_t band, apart, panel; /* floats of a worker's: rows of x, a tile's rows, a panel of dy */
    size_t worker;             /* and all together */
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

/*
 * What is summed over at a time: output rows p0 <= p < p1 and columns q0 <= q < q1 of pictures
 * i0 <= i < i1, for the entries e0 <= e < e1 of dw. An entry is (panel, kernel row u, tile of
 * rows).
 */
typedef struct piece {
    int i0, i1, p0, p1, q0, q1;
    int e0, e1;
    const float *rows; /* see padded_rows */
    ptrdiff_t image;
    float *aside, *panels; /* copies, pixels in the order (p, i, q): tiles of x, panels of dy */
    const float *dy;       /* at (i0, p0, q0), in place or the first of the panels */
    ptrdiff_t dy_row, dy_image; /* in pixels, or pairs of them */
} piece;

/* Pixels of one panel of dy side by side; sums[j] += their sum. */
INLINE void copy_pixels(const int NV, int pixels, const float *from, int oc, float *copy, vf *sums)
{
    for (int q = 0; q < pixels; q++, from += oc, copy += NV * LANES) {
        UNROLL
        for (int j = 0; j < NV; j++) {
            const vf v = load(from + j * LANES);
            store(copy + j * LANES, v);
            sums[j] += v;
        }
        prefetch(from + TOGETHER * (ptrdiff_t)oc);
    }
}

/* The same as pairs of pixels, the last of an odd number with zeros. */
INLINE void pair_neighbours(const int NV, int pixels, const float *from, int oc, float *copy,
                            vf *sums)
{
    for (int q = 0; q < pixels; q += 2, from += 2 * (ptrdiff_t)oc, copy += NV * LANES) {
        UNROLL
        for (int j = 0; j < NV; j++) {
            const vf v = load(from + j * LANES);
            const vf next = q + 1 < pixels ? load(from + oc + j * LANES) : (vf){0};
            store(copy + j * LANES, pair_lanes(v, next));
            sums[j] += v;
            sums[j] += next;
        }
        prefetch(from + TOGETHER * (ptrdiff_t)oc);
        prefetch(from + (TOGETHER + 1) * (ptrdiff_t)oc);
    }
}

/* Pixels of a panel, by whichever of the two. */
INLINE void copy_panel(const weights_gradient *s, int vectors, int pixels, const float *from,
                       float *copy, vf *sums)
{
    if (vectors == 2 && s->pairs)
        pair_neighbours(2, pixels, from, s->oc, copy, sums);
    else if (s->pairs)
        pair_neighbours(1, pixels, from, s->oc, copy, sums);
    else if (vectors == 2)
        copy_pixels(2, pixels, from, s->oc, copy, sums);
    else
        copy_pixels(1, pixels, from, s->oc, copy, sums);
}

/* Whether db is summed as panels are copied: not where their columns are folded channels. */
INLINE bool copies_find_db(const weights_gradient *s)
{
    return s->packed && s->biases == s->oc;
}

/*
 * The columns of dy that the entries take, each panel's side by side: pixels that lie a power of
 * two apart would share a few sets of the first-level cache, and push each other out. The copy
 * passes every number, and so finds db, too: whoever has a panel's first entry adds it.
 */
static void take_panels(const weights_gradient *s, piece *z)
{
    const pictures *g = &s->g;
    const int per_panel = g->fh * s->tiles, together = s->pairs ? 2 : 1;
    const bool find_db = s->db && copies_find_db(s);
    ptrdiff_t done = 0;
    z->dy = s->dy + (((ptrdiff_t)z->i0 * g->oh + z->p0) * g->ow + z->q0) * s->oc;
    z->dy_row = g->ow;
    z->dy_image = (ptrdiff_t)g->oh * g->ow;
    if (!s->packed) return;
    z->dy = z->panels;
    z->dy_image = parts_of(z->q1 - z->q0, together);
    z->dy_row = (z->i1 - z->i0) * z->dy_image;
    for (int p = z->p0; p < z->p1; p++)
        for (int i = z->i0; i < z->i1; i++)
            for (int q = z->q0; q < z->q1; q += TOGETHER) {
                const int pixels = smaller(TOGETHER, z->q1 - q);
                const float *from = s->dy + (((ptrdiff_t)i * g->oh + p) * g->ow + q) * s->oc;
                float *to = z->panels;
                for (int panel = z->e0 / per_panel; panel * per_panel < z->e1; panel++) {
                    const int column = panel * PANEL, vectors = panel_vectors_at(s->oc, column);
                    vf sums[2] = {{0}, {0}};
                    copy_panel(s, vectors, pixels, from + column, to + done * vectors * LANES,
                               sums);
                    to += s->panel;
                    if (!find_db || panel * per_panel < z->e0) continue;
                    for (int j = 0; j < smaller(PANEL, s->oc - column); j++)
                        s->db[column + j] += sums[j / LANES][j % LANES];
                }
                done += parts_of(pixels, together);
            }
}

/* Rows first <= row < first + rows of dw: tile `part` of `count` nearly equal ones. */
INLINE int tile_of(int depth, int part, int count, int *first)
{
    const int n = depth / count, more = depth % count;
    *first = part * n + smaller(part, more);
    return n + (part < more);
}

/* The output rows low <= p < high of a piece whose kernel row u lies inside the picture:
 * 0 <= p sh + u - pt < h. */
INLINE void rows_seen(const pictures *g, const piece *z, int u, int *low, int *high)
{
    const int last = g->h - 1 + g->pt - u;
    *low = larger(z->p0, g->pt > u ? parts_of(g->pt - u, g->sh) : 0);
    *high = smaller(z->p1, last < 0 ? 0 : last / g->sh + 1);
}

/* n <= TILE_ROWS_2 neighbours of every pixel, in whole vectors: the next pixel overwrites what is
 * too much. */
INLINE void copy_rows(int n, int pixels, const float *from, ptrdiff_t step, float *copy)
{
    for (int q = 0; q < pixels; q++, from += step, copy += n) {
        for (int j = 0; j < TILE_ROWS_2; j += LANES) store(copy + j, load(from + j));
        prefetch(from + TOGETHER * step);
    }
}

/* The same as pairs of pixels. */
INLINE void pair_copied_rows(int n, int pixels, const float *from, ptrdiff_t step, float *copy)
{
    for (int q = 0; q < pixels; q += 2, from += 2 * step, copy += n) {
        for (int j = 0; j < TILE_ROWS_2; j += LANES)
            store(copy + j,
                  pair_lanes(load(from + j), q + 1 < pixels ? load(from + step + j) : (vf){0}));
        prefetch(from + TOGETHER * step);
        prefetch(from + (TOGETHER + 1) * step);
    }
}

/*
 * What tiles part0 <= part < part1 of kernel row u see of x, each tile's numbers side by side: a
 * tile takes six neighbours of a pixel's many, and pixels a power of two apart share sets of the
 * cache.
 */
static void take_aside(const weights_gradient *s, const piece *z, int u, int part0, int part1)
{
    const pictures *g = &s->g;
    const int few = g->fw * g->c / s->tiles, more = g->fw * g->c % s->tiles; /* as in tile_of */
    const ptrdiff_t step = (ptrdiff_t)g->sw * g->c, first = part0 * few + smaller(part0, more);
    ptrdiff_t done = 0;
    int low, high;
    rows_seen(g, z, u, &low, &high);
    for (int p = low; p < high; p++)
        for (int i = z->i0; i < z->i1; i++)
            for (int q = z->q0; q < z->q1; q += TOGETHER) {
                const int pixels = smaller(TOGETHER, z->q1 - q);
                const float *from = z->rows + (i - z->i0) * z->image +
                                    (p * g->sh + u - g->pt) * g->row + q * step + first;
                float *to = z->aside;
                for (int part = part0; part < part1; part++, to += s->apart) {
                    const int n = few + (part < more);
                    if (s->pairs)
                        pair_copied_rows(n, pixels, from, step, to + done * n);
                    else
                        copy_rows(n, pixels, from, step, to + done * n);
                    from += n;
                }
                done += parts_of(pixels, s->pairs ? 2 : 1);
            }
}

/* One entry of dw, summed over a piece. `aside`: what its tile sees of x, where that is copied. */
static void add_gradient(const weights_gradient *s, const piece *z, int entry, const float *aside)
{
    const pictures *g = &s->g;
    const int part = entry % s->tiles, u = entry / s->tiles % g->fh;
    const int depth = g->fw * g->c, panel = entry / s->tiles / g->fh, column = panel * PANEL;
    const int vectors = panel_vectors_at(s->oc, column);
    const ptrdiff_t width = s->packed ? vectors * LANES : s->oc;
    const int count = s->aside ? s->tiles : tiles_of(depth, panel_rows(vectors, s->pairs));
    int low, high, row;
    rows_seen(g, z, u, &low, &high);
    if (part >= count || low >= high) return;
    const int n = tile_of(depth, part, count, &row);
    tile job = {.a = z->rows + (low * g->sh + u - g->pt) * g->row +
                     (ptrdiff_t)z->q0 * g->sw * g->c + row,
                .b = z->dy + (panel - z->e0 / s->tiles / g->fh) * (ptrdiff_t)s->panel +
                     (low - z->p0) * z->dy_row * width,
                .c = s->dw + ((ptrdiff_t)u * depth + row) * s->oc + column,
                .N = z->i1 - z->i0,
                .T = high - low,
                .K = z->q1 - z->q0,
                .an = z->image,
                .at = g->sh * g->row,
                .lda = (ptrdiff_t)g->sw * g->c,
                .bn = z->dy_image * width,
                .bt = z->dy_row * width,
                .ldb = width,
                .ldc = s->oc,
                .columns = smaller(s->oc - column, vectors * LANES),
                .accumulate = true,
                .pairs = s->pairs};
    if (s->aside) {
        job.a = aside;
        job.lda = n;
        job.K = (int)z->dy_row * job.T;
        job.N = job.T = 1;
    }
    tiles[s->pairs][1][vectors - 1][n - 1](&job, 1);
}

/* The entries of tiles part0 <= part < part1 of kernel row u. */
static void add_chunk(const weights_gradient *s, const piece *z, int u, int part0, int part1)
{
    const int per_panel = s->g.fh * s->tiles, before = u * s->tiles;
    bool taken = !s->aside;
    for (int panel = z->e0 / per_panel; panel * per_panel < z->e1; panel++) {
        const int first = panel * per_panel + before + part0;
        const int low = larger(z->e0, first), high = smaller(z->e1, first + part1 - part0);
        if (low < high && !taken) take_aside(s, z, u, part0, part1);
        taken |= low < high;
        for (int e = low; e < high; e++)
            add_gradient(s, z, e, z->aside + (size_t)(e - first) * s->apart);
    }
}

/* A share of dw's entries over all pictures: who computes an entry does not change its sum. The
 * first unit is db, where taking the panels does not sum it. */
static void gradient_unit(void *argument, int unit, int worker)
{
    const weights_gradient *s = argument;
    const pictures *g = &s->g;
    if (unit == 0) {
        const size_t floats = (size_t)g->m * (size_t)g->oh * (size_t)g->ow * (size_t)s->oc;
        if (s->db && !copies_find_db(s))
            add_columns(floats / (size_t)s->biases, s->biases, s->dy, s->db);
        return;
    }
    const int64_t entries = (int64_t)s->panels * g->fh * s->tiles, share = unit - 1;
    float *band = s->scratch + (size_t)worker * s->worker, *aside = band + s->band;
    piece z = {.e0 = (int)(share * entries / s->shares),
               .e1 = (int)((share + 1) * entries / s->shares),
               .aside = aside,
               .panels = aside + s->apart * (size_t)s->chunk};
    if (z.e0 == z.e1) return;
    for (int part = 0; part < g->groups * g->bands * g->runs; part++) {
        z.i0 = part / g->runs / g->bands * g->group;
        z.p0 = part / g->runs % g->bands * g->band_rows;
        z.q0 = part % g->runs * g->run;
        z.i1 = smaller(g->m, z.i0 + g->group);
        z.p1 = smaller(g->oh, z.p0 + g->band_rows);
        z.q1 = smaller(g->ow, z.q0 + g->run);
        z.rows = padded_rows(g, z.i0, z.i1, z.p0, z.p1, band, &z.image);
        take_panels(s, &z);
        for (int u = 0; u < g->fh; u++)
            for (int part0 = 0; part0 < s->tiles; part0 += s->chunk)
                add_chunk(s, &z, u, part0, smaller(s->tiles, part0 + s->chunk));
    }
}

/* Of the folded convolution. */
static weights_gradient gradient_of(const cn_conv_shape *s, const float *x, int threads)
{
    weights_gradient f = {.g = pictures_of(s, x, s->sh == 1), .oc = s->oc, .shares = threads};
    pictures *g = &f.g;
    /* Pairs need both copies; below two vectors of channels these take longer than the products. */
    f.pairs = s->bf16 && s->oc > LANES;
    f.packed = f.pairs || s->oc > PANEL;
    /* A number copied serves each panel once; windows that overlap copy it several times. */
    f.aside = f.pairs || (f.packed && s->sw * s->c > PANEL && (s->fw == 1 || s->oc >= 8 * PANEL));
    split(g, BAND_FLOATS, s->oc, f.aside ? ASIDE_PIXELS : GRADIENT_PIXELS, g->m);
    const size_t pixels = (size_t)g->most_group * (size_t)g->band_rows * (size_t)g->most_run;
    f.panels = parts_of(s->oc, PANEL);
    f.tiles = tiles_of(g->fw * g->c, s->oc > LANES ? TILE_ROWS_2 : TILE_ROWS_1);
    f.chunk = f.tiles;
    f.worker = f.band = band_floats(g);
    if (f.packed) {
        f.panel = pixels * PANEL;
        /* A share may begin and end inside a panel. */
        f.worker += f.panel * (size_t)smaller(f.panels, f.panels / threads + 2);
    }
    if (f.aside) {
        f.apart = pixels * TILE_ROWS_2 + LANES;
        const size_t all = f.apart * (size_t)f.tiles, some = BAND_FLOATS + f.apart;
        f.chunk = smaller(f.tiles, (int)(BAND_FLOATS / f.apart) + 1);
        f.worker += all < some ? all : some; /* more pixels, more memory: not so with chunks */
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
    weights_gradient f = gradient_of(&wide.s, x, cn_pool_threads(pool));
    f.dy = dy;
    f.dw = wide.g == 1 ? dw : scratch;
    f.db = db;
    f.biases = s->oc;
    f.scratch = scratch + wide_floats(&wide);
    memset(scratch, 0, wide_floats(&wide) * sizeof *scratch);
    cn_pool_run(pool, 1 + f.shares, gradient_unit, &f);
    if (wide.g > 1) unfold(s, &wide, scratch, dw);
}
