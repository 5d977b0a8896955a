/*
 * conv_template.h - a convolution by the method that suits it: Winograd's, else direct.
 */

static size_t conv_packed(const cn_conv_shape *s)
{
    if (!winograd_pays(s)) return direct_packed(s);
    const winograd f = winograd_of(s);
    return filters_floats(&f);
}

static void conv_pack(const cn_conv_shape *s, const float *w, float *packed)
{
    if (!winograd_pays(s)) {
        direct_pack(s, w, packed);
        return;
    }
    const winograd f = winograd_of(s);
    transform_filters(&f, w, false, packed);
}

static size_t conv_scratch(const cn_conv_shape *s, int threads)
{
    return winograd_pays(s) ? winograd_scratch(s, threads) : direct_scratch(s, threads);
}

static void conv_forward(const cn_conv_shape *s, const float *x, const float *packed,
                         const float *b, bool relu, float *y, float *scratch, cn_pool *pool)
{
    (winograd_pays(s) ? winograd_forward : direct_forward)(s, x, packed, b, relu, y, scratch, pool);
}

static void conv_backward_data(const cn_conv_shape *s, const float *dy, const float *w, float *dx,
                               float *scratch, cn_pool *pool)
{
    (winograd_pays(s) ? winograd_backward_data : direct_backward_data)(s, dy, w, dx, scratch, pool);
}

static void conv_backward_weights(const cn_conv_shape *s, const float *x, const float *dy,
                                  float *dw, float *db, float *scratch, cn_pool *pool)
{
    if (!winograd_pays(s)) {
        direct_backward_weights(s, x, dy, dw, db, scratch, pool);
        return;
    }
    winograd_backward_weights(s, x, dy, dw, scratch, pool);
    if (db) add_columns((size_t)s->m * (size_t)s->oh * (size_t)s->ow, s->oc, dy, db);
}
