/*
 * groups_template.h - any convolution: groups of channels and dilated windows, made of dense ones.
 *
 *     y[i,p,q,k] = b[k] + sum_{u,v,j} x[i, p sh + u dh - pt, q sw + v dw - pl, g c' + j] w[u,v,j,k]
 *
 * with j < c' = c / groups and g = k / (oc / groups). A group is a dense convolution of its
 * channels. A dilated window meets every dh-th row only: with e the greatest common divisor of sh
 * and dh, the outputs p = (dh / e) p' + a of one a see the rows
 *
 *     r = p sh + u dh - pt = dh (p' sh / e + u) + a sh - pt
 *
 * which are every dh-th row, and on these p' is a convolution of stride sh / e without gaps. The
 * same holds for columns. So slices of x are copied side by side, with their zeros, convolved, and
 * the outputs are put where they belong. A slice has the channels of a group, and every dh-th row
 * and dw-th column; of each picture there are dh / e times dw / e a group, all of one size.
 */

enum {
    SLICES_IN_CACHE = 48 * 1024, /* floats of slices that are convolved at a time, by one thread */
    SLICES_TOGETHER = 1 << 20,   /* by all threads, where there is one group */
    SLICE_OUTPUTS = 512          /* at least, so that packing weights for them pays */
};

typedef struct slices {
    const cn_conv_shape *s;
    cn_conv_shape part; /* the dense convolution of `part.m` slices of one group */
    int groups, dh, dw;
    int phases_h, phases_w; /* outputs with different a */
    int count;              /* slices of a group, (picture, phase, phase) */
    float *scratch;
    size_t xs, ys, ws, dense; /* floats of a worker's: slices of x and y, weights, dense_scratch */
} slices;

INLINE int groups_of(const cn_conv_shape *s)
{
    return larger(1, s->groups);
}

static size_t floats_of(int a, int b, int c, int d)
{
    return (size_t)a * (size_t)b * (size_t)c * (size_t)d;
}

static slices slices_of(const cn_conv_shape *s, int threads)
{
    slices f = {.s = s, .groups = groups_of(s), .dh = larger(1, s->dh), .dw = larger(1, s->dw)};
    const int eh = common_divisor(s->sh, f.dh), ew = common_divisor(s->sw, f.dw);
    f.phases_h = f.dh / eh;
    f.phases_w = f.dw / ew;
    f.count = s->m * f.phases_h * f.phases_w;
    f.part = *s;
    f.part.dh = f.part.dw = f.part.groups = 1;
    f.part.sh /= eh;
    f.part.sw /= ew;
    f.part.oh = parts_of(s->oh, f.phases_h);
    f.part.ow = parts_of(s->ow, f.phases_w);
    f.part.h = (f.part.oh - 1) * f.part.sh + s->fh;
    f.part.w = (f.part.ow - 1) * f.part.sw + s->fw;
    f.part.pt = f.part.pl = 0;
    f.part.c = s->c / f.groups;
    f.part.oc = s->oc / f.groups;
    /* Of `batch` pictures, not of `m`: the weights are packed for all calls alike. */
    const int most = larger(s->batch, s->m) * f.phases_h * f.phases_w;
    const size_t x = floats_of(1, f.part.h, f.part.w, f.part.c);
    const size_t y = floats_of(1, f.part.oh, f.part.ow, f.part.oc);
    const size_t fit = (f.groups > 1 ? SLICES_IN_CACHE : SLICES_TOGETHER) / (x + y);
    const int least = parts_of(SLICE_OUTPUTS, smaller(SLICE_OUTPUTS, f.part.oh * f.part.ow));
    f.part.m = f.part.batch = smaller(most, larger(least, (int)fit));
    f.xs = x * (size_t)f.part.m + LANES;
    f.ys = y * (size_t)f.part.m + LANES;
    f.ws = f.groups > 1 ? floats_of(s->fh, s->fw, f.part.c, f.part.oc) + LANES : 0;
    f.dense = dense_scratch(&f.part, f.groups > 1 ? 1 : threads);
    return f;
}

static size_t slices_scratch(const cn_conv_shape *s, int threads)
{
    const slices f = slices_of(s, threads);
    return (f.xs + f.ys + f.ws + f.dense) * (size_t)(f.groups > 1 ? threads : 1);
}

/* ---- copying */

INLINE void copy_run(const float *from, float *to, int n)
{
    int j = 0;
    for (; j + LANES <= n; j += LANES) store(to + j, load(from + j));
    for (; j < n; j++) to[j] = from[j];
}

/* The pixels of a tensor that a slice takes: rows row + r row_step, columns alike, `c` channels
 * from the pixel's `channel` on. */
typedef struct places {
    ptrdiff_t image; /* floats before the picture */
    int h, w, pixel; /* of the tensor; pixel: its channels */
    int row, row_step, column, column_step;
    int channel, c;
    int rows, columns; /* of the slice */
} places;

/* Between a slice and its places in a tensor: those outside of it read as zeros, and are not
 * written. */
INLINE void copy_slice(const bool to_slice, const places *z, float *tensor, float *slice)
{
    for (int r = 0; r < z->rows; r++) {
        const int64_t row = z->row + (int64_t)r * z->row_step;
        for (int q = 0; q < z->columns; q++, slice += z->c) {
            const int64_t column = z->column + (int64_t)q * z->column_step;
            const bool inside = row >= 0 && row < z->h && column >= 0 && column < z->w;
            float *pixel =
                tensor + z->image + (inside ? (row * z->w + column) * z->pixel : 0) + z->channel;
            if (!to_slice && inside) copy_run(slice, pixel, z->c);
            if (to_slice && inside) copy_run(pixel, slice, z->c);
            if (to_slice && !inside) memset(slice, 0, (size_t)z->c * sizeof *slice);
        }
    }
}

/* Where slice n of group g lies in x. */
static places places_in_x(const slices *f, int n, int g)
{
    const cn_conv_shape *s = f->s;
    const int b = n % f->phases_w, a = n / f->phases_w % f->phases_h;
    const int i = n / f->phases_w / f->phases_h;
    return (places){.image = (ptrdiff_t)i * s->h * s->w * s->c,
                    .h = s->h,
                    .w = s->w,
                    .pixel = s->c,
                    .row = a * s->sh - s->pt,
                    .row_step = f->dh,
                    .column = b * s->sw - s->pl,
                    .column_step = f->dw,
                    .channel = g * f->part.c,
                    .c = f->part.c,
                    .rows = f->part.h,
                    .columns = f->part.w};
}

/* And in y. */
static places places_in_y(const slices *f, int n, int g)
{
    const cn_conv_shape *s = f->s;
    const int b = n % f->phases_w, a = n / f->phases_w % f->phases_h;
    const int i = n / f->phases_w / f->phases_h;
    return (places){.image = (ptrdiff_t)i * s->oh * s->ow * s->oc,
                    .h = s->oh,
                    .w = s->ow,
                    .pixel = s->oc,
                    .row = a,
                    .row_step = f->phases_h,
                    .column = b,
                    .column_step = f->phases_w,
                    .channel = g * f->part.oc,
                    .c = f->part.oc,
                    .rows = f->part.oh,
                    .columns = f->part.ow};
}

/* Slices first .. first + n - 1 of a group, one after the other. */
typedef struct transfer {
    const slices *f;
    places (*places_in)(const slices *f, int n, int g);
    float *tensor, *slices;
    int first, group;
    bool to_slices;
} transfer;

static void transfer_unit(void *argument, int unit, int worker)
{
    const transfer *t = argument;
    const places z = t->places_in(t->f, t->first + unit, t->group);
    float *slice = t->slices + (ptrdiff_t)floats_of(1, z.rows, z.columns, z.c) * unit;
    (void)worker;
    if (t->to_slices)
        copy_slice(true, &z, t->tensor, slice);
    else
        copy_slice(false, &z, t->tensor, slice);
}

/* The weights of a group, (fh, fw, c / groups) rows of oc / groups. */
static void take_group(const slices *f, const float *w, int g, float *to)
{
    const size_t rows = floats_of(f->s->fh, f->s->fw, f->part.c, 1);
    for (size_t r = 0; r < rows; r++)
        copy_run(w + r * (size_t)f->s->oc + (size_t)g * (size_t)f->part.oc,
                 to + r * (size_t)f->part.oc, f->part.oc);
}

/* ---- the three passes */

typedef enum way_through { FORWARD_PASS, DATA_PASS, WEIGHTS_PASS } way_through;

typedef struct sliced {
    slices f;
    way_through pass;
    const float *x, *dy, *w, *bias;
    float *out, *dw, *db; /* out: y, or dx */
    float relu;
    size_t packed; /* floats of a group's */
} sliced;

/* Slices first .. of group g, by one thread, or by all in turn. */
static void run_slices(const sliced *job, int g, int first, int worker, cn_pool *pool)
{
    const slices *f = &job->f;
    cn_conv_shape part = f->part;
    part.m = smaller(part.m, f->count - first);
    float *x = f->scratch + (size_t)worker * (f->xs + f->ys + f->ws + f->dense);
    float *y = x + f->xs, *w = y + f->ys, *scratch = w + f->ws;
    const float *b = job->bias ? job->bias + (ptrdiff_t)g * part.oc : NULL;
    /* A transfer writes either the tensor or the slices. */
    transfer in_x = {f, places_in_x, (float *)(uintptr_t)job->x, x, first, g, true};
    transfer in_y = {f, places_in_y, (float *)(uintptr_t)job->dy, y, first, g, true};
    if (job->pass != DATA_PASS) cn_pool_run(pool, part.m, transfer_unit, &in_x);
    if (job->pass != FORWARD_PASS) cn_pool_run(pool, part.m, transfer_unit, &in_y);
    if (job->pass == FORWARD_PASS) {
        dense_forward(&part, x, job->w + (size_t)g * job->packed, b, job->relu, y, scratch, pool);
        in_y.tensor = job->out;
        in_y.to_slices = false;
        cn_pool_run(pool, part.m, transfer_unit, &in_y);
    } else if (job->pass == DATA_PASS) {
        if (f->groups > 1) take_group(f, job->w, g, w);
        dense_backward_data(&part, y, f->groups > 1 ? w : job->w, x, scratch, pool);
        in_x.tensor = job->out;
        in_x.to_slices = false;
        cn_pool_run(pool, part.m, transfer_unit, &in_x);
    } else {
        float *db = job->db ? job->db + (ptrdiff_t)g * part.oc : NULL;
        dense_backward_weights(&part, x, y, f->groups > 1 ? w : job->dw, db, scratch, pool);
    }
}

/* Some slices of one group. */
static void slices_unit(void *argument, int unit, int worker)
{
    const sliced *job = argument;
    run_slices(job, unit % job->f.groups, unit / job->f.groups * job->f.part.m, worker, NULL);
}

/* dw of one group, from all slices. */
static void slices_weights_unit(void *argument, int g, int worker)
{
    const sliced *job = argument;
    const slices *f = &job->f;
    float *w = f->scratch + (size_t)worker * (f->xs + f->ys + f->ws + f->dense) + f->xs + f->ys;
    const int rows = f->s->fh * f->s->fw * f->part.c, oc = f->part.oc;
    memset(w, 0, f->ws * sizeof *w);
    for (int first = 0; first < f->count; first += f->part.m)
        run_slices(job, g, first, worker, NULL);
    for (int r = 0; r < rows; r++)
        for (int k = 0; k < oc; k++)
            job->dw[(ptrdiff_t)r * f->s->oc + (ptrdiff_t)g * oc + k] += w[(ptrdiff_t)r * oc + k];
}

static void run_sliced(sliced *job, cn_pool *pool)
{
    const slices *f = &job->f;
    if (f->groups == 1)
        for (int first = 0; first < f->count; first += f->part.m)
            run_slices(job, 0, first, 0, pool);
    else if (job->pass == WEIGHTS_PASS)
        cn_pool_run(pool, f->groups, slices_weights_unit, job);
    else
        cn_pool_run(pool, f->groups * parts_of(f->count, f->part.m), slices_unit, job);
}

static sliced sliced_of(const cn_conv_shape *s, way_through pass, float *scratch,
                        const cn_pool *pool)
{
    sliced job = {.f = slices_of(s, cn_pool_threads(pool)), .pass = pass};
    job.f.scratch = scratch;
    job.packed = dense_packed(&job.f.part);
    return job;
}

/* ---- several outputs a channel: a depthwise convolution of channels that are repeated */

/* `times` copies of each of n numbers side by side. */
typedef struct repeated {
    cn_conv_shape wide; /* the depthwise convolution */
    int c, times;
    const float *x;
    float *copies, *dx;
} repeated;

static repeated repeated_of(const cn_conv_shape *s)
{
    repeated f = {.wide = *s, .c = s->c, .times = s->oc / s->c};
    f.wide.c = f.wide.groups = s->oc;
    return f;
}

static size_t repeated_floats(const repeated *f)
{
    return floats_of(f->wide.m, f->wide.h, f->wide.w, f->wide.oc) + LANES;
}

static void repeat_unit(void *argument, int unit, int worker)
{
    const repeated *f = argument;
    const size_t n = floats_of(1, f->wide.h, f->wide.w, f->c), from = n * (size_t)unit;
    float *to = f->copies + from * (size_t)f->times;
    (void)worker;
    for (size_t j = 0; j < n; j++)
        for (int e = 0; e < f->times; e++) *to++ = f->x[from + j];
}

static void add_repeated_unit(void *argument, int unit, int worker)
{
    const repeated *f = argument;
    const size_t n = floats_of(1, f->wide.h, f->wide.w, f->c), first = n * (size_t)unit;
    const float *from = f->copies + first * (size_t)f->times;
    (void)worker;
    for (size_t j = 0; j < n; j++) {
        float sum = 0;
        for (int e = 0; e < f->times; e++) sum += *from++;
        f->dx[first + j] = sum;
    }
}

/* ---- the method */

typedef enum method { DENSE, DEPTHWISE, REPEATED, SLICED } method;

static method method_of(const cn_conv_shape *s)
{
    const int groups = groups_of(s);
    if (groups > 1 && groups == s->c) return s->oc == s->c ? DEPTHWISE : REPEATED;
    return groups > 1 || s->dh > 1 || s->dw > 1 ? SLICED : DENSE;
}

static size_t conv_packed(const cn_conv_shape *s)
{
    const method way = method_of(s);
    if (way == DENSE) return dense_packed(s);
    if (way != SLICED) return packed_taps(s);
    const slices f = slices_of(s, 1);
    return (size_t)f.groups * dense_packed(&f.part) + f.ws;
}

static size_t conv_scratch(const cn_conv_shape *s, int threads)
{
    const method way = method_of(s);
    if (way == DENSE) return dense_scratch(s, threads);
    if (way == SLICED) return slices_scratch(s, threads);
    if (way == DEPTHWISE) return depthwise_scratch(s, threads);
    const repeated f = repeated_of(s);
    return repeated_floats(&f) + depthwise_scratch(&f.wide, threads);
}

static void conv_pack(const cn_conv_shape *s, const float *w, float *packed, cn_pool *pool)
{
    const method way = method_of(s);
    if (way == DENSE) {
        dense_pack(s, w, packed, pool);
        return;
    }
    if (way != SLICED) {
        pack_taps(s, w, packed);
        return;
    }
    const slices f = slices_of(s, 1);
    const size_t group = dense_packed(&f.part);
    float *copy = packed + (size_t)f.groups * group;
    for (int g = 0; g < f.groups; g++) {
        if (f.groups > 1) take_group(&f, w, g, copy);
        dense_pack(&f.part, f.groups > 1 ? copy : w, packed + (size_t)g * group, pool);
    }
}

static void conv_forward(const cn_conv_shape *s, const float *x, const float *packed,
                         const float *b, float relu, float *y, float *scratch, cn_pool *pool)
{
    const method way = method_of(s);
    if (way == DENSE) {
        dense_forward(s, x, packed, b, relu, y, scratch, pool);
    } else if (way == DEPTHWISE) {
        (blocks_pay(s) ? blocks_forward : depthwise_forward)(s, x, packed, b, relu, y, scratch,
                                                             pool);
    } else if (way == REPEATED) {
        repeated f = repeated_of(s);
        f.x = x;
        f.copies = scratch;
        cn_pool_run(pool, s->m, repeat_unit, &f);
        depthwise_forward(&f.wide, scratch, packed, b, relu, y, scratch + repeated_floats(&f),
                          pool);
    } else {
        sliced job = sliced_of(s, FORWARD_PASS, scratch, pool);
        job.x = x;
        job.w = packed;
        job.bias = b;
        job.relu = relu;
        job.out = y;
        run_sliced(&job, pool);
    }
}

static void conv_backward_data(const cn_conv_shape *s, const float *dy, const float *w, float *dx,
                               float *scratch, cn_pool *pool)
{
    const method way = method_of(s);
    if (way == DENSE) {
        dense_backward_data(s, dy, w, dx, scratch, pool);
    } else if (way == DEPTHWISE) {
        depthwise_backward_data(s, dy, w, dx, scratch, pool);
    } else if (way == REPEATED) {
        repeated f = repeated_of(s);
        f.copies = scratch;
        f.dx = dx;
        depthwise_backward_data(&f.wide, dy, w, scratch, scratch + repeated_floats(&f), pool);
        cn_pool_run(pool, s->m, add_repeated_unit, &f);
    } else {
        sliced job = sliced_of(s, DATA_PASS, scratch, pool);
        job.dy = dy;
        job.w = w;
        job.out = dx;
        /* Not every element is in a slice: no window may see it. */
        memset(dx, 0, floats_of(s->m, s->h, s->w, s->c) * sizeof *dx);
        run_sliced(&job, pool);
    }
}

static void conv_backward_weights(const cn_conv_shape *s, const float *x, const float *dy,
                                  float *dw, float *db, float *scratch, cn_pool *pool)
{
    const method way = method_of(s);
    if (way == DENSE) {
        dense_backward_weights(s, x, dy, dw, db, scratch, pool);
    } else if (way == DEPTHWISE) {
        depthwise_backward_weights(s, x, dy, dw, db, scratch, pool);
    } else if (way == REPEATED) {
        repeated f = repeated_of(s);
        f.x = x;
        f.copies = scratch;
        cn_pool_run(pool, s->m, repeat_unit, &f);
        depthwise_backward_weights(&f.wide, scratch, dy, dw, db, scratch + repeated_floats(&f),
                                   pool);
    } else {
        sliced job = sliced_of(s, WEIGHTS_PASS, scratch, pool);
        job.x = x;
        job.dy = dy;
        job.dw = dw;
        job.db = db;
        run_sliced(&job, pool);
    }
}

/* ---- a bias by itself, behind a transposed convolution */

static void bias(size_t rows, int columns, const float *b, cn_activation activation, float *y)
{
    for (size_t r = 0; r < rows; r++, y += columns) {
        int j = 0;
        for (; j + LANES <= columns; j += LANES) {
            vf sum = load(y + j);
            if (b) sum += load(b + j);
            if (activation.kind) sum = activate_lanes(sum, activation);
            store(y + j, sum);
        }
        for (; j < columns; j++) {
            const float sum = b ? y[j] + b[j] : y[j];
            y[j] = activation.kind ? activate1(sum, activation) : sum;
        }
    }
}

static void bias_backward(size_t rows, int columns, const float *dy, float *db)
{
    add_columns(rows, columns, dy, db);
}
