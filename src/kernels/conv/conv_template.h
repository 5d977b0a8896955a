/*
 * conv_template.h - a dense convolution, where every output channel sees every input channel, by
 * the method that suits it: Winograd's, else direct, of floats or of pairs of bf16.
 *
 * Winograd's method in floats is faster than the direct one in bf16, and stays.
 */

/* ---- bf16: the direct passes with pairs of channels for channels */

/* Of forward, which sums over c. One channel would fill half of a pair: no gain. */
static cn_conv_shape forward_shape(const cn_conv_shape *s)
{
    cn_conv_shape f = *s;
    if (!s->bf16 || s->c == 1) return f;
    f.halves = s->c;
    f.c = pairs_of(s->c);
    return f;
}

/* Of backward data, which sums over oc. Few input channels stay floats: their products are made
 * to be added, and nobody asks for the gradient of pictures. */
static cn_conv_shape data_shape(const cn_conv_shape *s)
{
    cn_conv_shape f = *s;
    if (!s->bf16 || s->oc == 1 || (products_pay(s) && !spreads(s))) return f;
    f.halves = s->oc;
    f.oc = pairs_of(s->oc);
    return f;
}

/* What its weights take as pairs. */
static size_t paired_floats(const cn_conv_shape *f)
{
    return f->halves ? (size_t)f->fh * (size_t)f->fw * (size_t)f->c * (size_t)f->oc : 0;
}

static size_t paired_packed(const cn_conv_shape *s)
{
    const cn_conv_shape f = forward_shape(s);
    return direct_packed(&f) + paired_floats(&f);
}

static void paired_pack(const cn_conv_shape *s, const float *w, float *packed, cn_pool *pool)
{
    const cn_conv_shape f = forward_shape(s);
    if (f.halves) {
        pairing z = {s, w, packed + direct_packed(&f), f.fh * f.fw * f.c};
        cn_pool_run(packers(paired_floats(&f), pool), parts_of(z.rows, PAIRED_ROWS),
                    pair_channels_unit, &z);
        w = z.pairs;
    }
    direct_pack(&f, w, packed, pool);
}

static void paired_backward_data(const cn_conv_shape *s, const float *dy, const float *w, float *dx,
                                 float *scratch, cn_pool *pool)
{
    const cn_conv_shape f = data_shape(s);
    if (f.halves) {
        pairing z = {s, w, scratch, f.fh * f.fw * f.c};
        cn_pool_run(packers(paired_floats(&f), pool), parts_of(z.rows, PAIRED_ROWS),
                    pair_filters_unit, &z);
        w = scratch;
        scratch += paired_floats(&f);
    }
    direct_backward_data(&f, dy, w, dx, scratch, pool);
}

/* ---- the method */

static size_t dense_packed(const cn_conv_shape *s)
{
    const int side = winograd_side(s);
    if (side == 0) return paired_packed(s);
    const winograd f = winograd_of(s, side);
    return filters_floats(&f);
}

static void dense_pack(const cn_conv_shape *s, const float *w, float *packed, cn_pool *pool)
{
    const int side = winograd_side(s);
    if (side == 0) {
        paired_pack(s, w, packed, pool);
        return;
    }
    const winograd f = winograd_of(s, side);
    transform_filters(&f, w, false, packed, pool);
}

/* Of direct_backward_data. */
static size_t data_scratch(const cn_conv_shape *s, int threads)
{
    const size_t workers = (size_t)threads;
    size_t most = 0;
    if (spreads(s)) {
        const spreading f = spreading_of(s);
        return spreading_floats(&f) * workers + packed_floats(s->oc, s->c);
    }
    if (products_pay(s)) {
        const products f = products_of(s);
        return products_floats(&f) * workers + packed_floats(s->oc, s->fh * s->fw * s->c);
    }
    for (int a = 0; a < s->sh; a++) {
        for (int b = 0; b < s->sw; b++) {
            const phase v = phase_of(a, s->h, s->fh, s->sh, s->pt);
            const phase h = phase_of(b, s->w, s->fw, s->sw, s->pl);
            if (v.count == 0 || h.count == 0) continue;
            const size_t data = phase_correlation(s, &v, &h, NULL, NULL, threads).band * workers +
                                packed_floats(v.taps * h.taps * s->oc, s->c);
            if (data > most) most = data;
        }
    }
    return most;
}

/* The most scratch memory that one of the direct passes takes. */
static size_t direct_scratch(const cn_conv_shape *s, int threads)
{
    const size_t workers = (size_t)threads;
    const cn_conv_shape f = forward_shape(s), d = data_shape(s);
    const folded wide = fold(s);
    const weights_gradient gradient = gradient_of(&wide.s, NULL, threads);
    const size_t forward = forward_correlation(&f, NULL, NULL, threads).band * workers;
    const size_t weights = gradient.worker * workers + wide_floats(&wide);
    const size_t data = data_scratch(&d, threads) + paired_floats(&d);
    const size_t most = forward > weights ? forward : weights;
    return data > most ? data : most;
}

static size_t dense_scratch(const cn_conv_shape *s, int threads)
{
    if (winograd_side(s) == 0) return direct_scratch(s, threads);
    const size_t forward = winograd_forward_scratch(s, threads);
    const size_t backward = winograd_backward_pays(s) ? winograd_backward_scratch(s, threads)
                                                      : direct_scratch(s, threads);
    return forward > backward ? forward : backward;
}

static void dense_forward(const cn_conv_shape *s, const float *x, const float *packed,
                          const float *b, float relu, float *y, float *scratch, cn_pool *pool)
{
    const cn_conv_shape f = forward_shape(s);
    if (winograd_side(s))
        winograd_forward(s, x, packed, b, relu, y, scratch, pool);
    else
        direct_forward(&f, x, packed, b, relu, y, scratch, pool);
}

static void dense_backward_data(const cn_conv_shape *s, const float *dy, const float *w, float *dx,
                                float *scratch, cn_pool *pool)
{
    (winograd_backward_pays(s) ? winograd_backward_data : paired_backward_data)(s, dy, w, dx,
                                                                                scratch, pool);
}

static void dense_backward_weights(const cn_conv_shape *s, const float *x, const float *dy,
                                   float *dw, float *db, float *scratch, cn_pool *pool)
{
    if (!winograd_backward_pays(s)) {
        direct_backward_weights(s, x, dy, dw, db, scratch, pool);
        return;
    }
    winograd_backward_weights(s, x, dy, dw, scratch, pool);
    if (db) add_columns((size_t)s->m * (size_t)s->oh * (size_t)s->ow, s->oc, dy, db);
}
