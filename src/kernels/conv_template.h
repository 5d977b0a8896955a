/*
 * conv_template.h - a dense convolution, where every output channel sees every input channel, by
 * the method that suits it: Winograd's, else direct.
 */

static size_t dense_packed(const cn_conv_shape *s)
{
    const int side = winograd_side(s);
    if (side == 0) return direct_packed(s);
    const winograd f = winograd_of(s, side);
    return filters_floats(&f);
}

static void dense_pack(const cn_conv_shape *s, const float *w, float *packed, cn_pool *pool)
{
    const int side = winograd_side(s);
    if (side == 0) {
        direct_pack(s, w, packed, pool);
        return;
    }
    const winograd f = winograd_of(s, side);
    transform_filters(&f, w, false, packed, pool);
}

/* The most scratch memory that one of the direct passes takes. */
static size_t direct_scratch(const cn_conv_shape *s, int threads)
{
    const size_t workers = (size_t)threads;
    const folded wide = fold(s);
    size_t most = forward_correlation(s, NULL, NULL, threads).band * workers;
    const weights_gradient gradient = gradient_of(&wide.s, NULL, threads);
    const size_t weights = gradient.worker * workers + wide_floats(&wide);
    if (weights > most) most = weights;
    if (spreads(s)) {
        const spreading f = spreading_of(s);
        const size_t data = spreading_floats(&f) * workers + packed_floats(s->oc, s->c);
        return data > most ? data : most;
    }
    if (products_pay(s)) {
        const products f = products_of(s);
        const size_t data =
            products_floats(&f) * workers + packed_floats(s->oc, s->fh * s->fw * s->c);
        return data > most ? data : most;
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
    (winograd_side(s) ? winograd_forward : direct_forward)(s, x, packed, b, relu, y, scratch, pool);
}

static void dense_backward_data(const cn_conv_shape *s, const float *dy, const float *w, float *dx,
                                float *scratch, cn_pool *pool)
{
    (winograd_backward_pays(s) ? winograd_backward_data : direct_backward_data)(s, dy, w, dx,
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
