/* onednn.c - convolutions by oneDNN, through its C interface. */
#include "onednn.h"

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct peer {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    char version[32];
};

struct peer_conv {
    peer *peer;
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t arguments[4];
    int count;
};

static const struct way {
    const char *name;
    dnnl_format_tag_t layout; /* of the images; any is oneDNN's own choice, mostly blocked */
    dnnl_alg_kind_t method;
} ways[] = {
    {"own layout", dnnl_format_tag_any, dnnl_convolution_direct},
    {"nhwc", dnnl_nhwc, dnnl_convolution_direct},
    {"Winograd", dnnl_format_tag_any, dnnl_convolution_winograd},
};
enum { WAYS = sizeof ways / sizeof *ways };

const char *peer_way(int way)
{
    return way < WAYS ? ways[way].name : NULL;
}

peer *peer_open(int threads)
{
    peer *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    omp_set_num_threads(threads);
    const dnnl_version_t *v = dnnl_version();
    snprintf(p->version, sizeof p->version, "%d.%d.%d", v->major, v->minor, v->patch);
    if (dnnl_engine_create(&p->engine, dnnl_cpu, 0) == dnnl_success &&
        dnnl_stream_create(&p->stream, p->engine, dnnl_stream_default_flags) == dnnl_success)
        return p;
    peer_close(p);
    return NULL;
}

void peer_close(peer *p)
{
    if (!p) return;
    dnnl_stream_destroy(p->stream);
    dnnl_engine_destroy(p->engine);
    free(p);
}

const char *peer_version(peer *p)
{
    return p->version;
}

/* ---- what the two releases write differently */

/* The four tensors of a convolution, and its geometry. */
typedef struct request {
    dnnl_engine_t engine;
    dnnl_alg_kind_t method;
    dnnl_dims_t x_dims, w_dims, b_dims, y_dims;
    int w_rank; /* 5 with groups, which come first */
    dnnl_dims_t stride, dilation, before, after;
    dnnl_format_tag_t layout;
    dnnl_primitive_attr_t attributes;
} request;

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t description;
typedef const_dnnl_memory_desc_t described;

static void describe(description *d, int rank, const dnnl_dims_t dims, dnnl_format_tag_t layout)
{
    if (dnnl_memory_desc_create_with_tag(d, rank, dims, dnnl_f32, layout) != dnnl_success)
        *d = NULL;
}

static void undescribe(description *d)
{
    if (*d) dnnl_memory_desc_destroy(*d);
}

static void append_relu(dnnl_post_ops_t after)
{
    dnnl_post_ops_append_eltwise(after, dnnl_eltwise_relu, 0, 0);
}

static dnnl_status_t describe_conv(dnnl_primitive_desc_t *found, const request *p, direction d,
                                   description *x, description *w, description *b, description *y,
                                   dnnl_primitive_desc_t forward)
{
    if (d == FORWARD)
        return dnnl_convolution_forward_primitive_desc_create(
            found, p->engine, dnnl_forward_training, p->method, *x, *w, *b, *y, p->stride,
            p->dilation, p->before, p->after, p->attributes);
    if (d == BACKWARD_DATA)
        return dnnl_convolution_backward_data_primitive_desc_create(
            found, p->engine, p->method, *x, *w, *y, p->stride, p->dilation, p->before, p->after,
            forward, NULL);
    return dnnl_convolution_backward_weights_primitive_desc_create(
        found, p->engine, p->method, *x, *w, *b, *y, p->stride, p->dilation, p->before, p->after,
        forward, NULL);
}

#else

typedef dnnl_memory_desc_t description;
typedef const dnnl_memory_desc_t *described;

static void describe(description *d, int rank, const dnnl_dims_t dims, dnnl_format_tag_t layout)
{
    *d = (description){0};
    (void)dnnl_memory_desc_init_by_tag(d, rank, dims, dnnl_f32, layout);
}

static void undescribe(description *d)
{
    (void)d;
}

static void append_relu(dnnl_post_ops_t after)
{
    dnnl_post_ops_append_eltwise(after, 1, dnnl_eltwise_relu, 0, 0);
}

static dnnl_status_t describe_conv(dnnl_primitive_desc_t *found, const request *p, direction d,
                                   description *x, description *w, description *b, description *y,
                                   dnnl_primitive_desc_t forward)
{
    dnnl_convolution_desc_t conv;
    dnnl_status_t status;
    if (d == FORWARD)
        status = dnnl_convolution_forward_desc_init(&conv, dnnl_forward_training, p->method, x, w,
                                                    b, y, p->stride, p->before, p->after);
    else if (d == BACKWARD_DATA)
        status = dnnl_convolution_backward_data_desc_init(&conv, p->method, x, w, y, p->stride,
                                                          p->before, p->after);
    else
        status = dnnl_convolution_backward_weights_desc_init(&conv, p->method, x, w, b, y,
                                                             p->stride, p->before, p->after);
    if (status != dnnl_success) return status;
    return dnnl_primitive_desc_create(found, &conv, d == FORWARD ? p->attributes : NULL, p->engine,
                                      forward);
}

#endif

/* ---- preparing */

/* The primitive's description, found in two steps: backward asks how forward would do it. */
static dnnl_primitive_desc_t find_conv(const request *p, direction d)
{
    description x, w, b, y;
    dnnl_primitive_desc_t forward = NULL, found = NULL;
    describe(&x, 4, p->x_dims, p->layout);
    describe(&w, p->w_rank, p->w_dims, dnnl_format_tag_any);
    describe(&b, 1, p->b_dims, dnnl_a);
    describe(&y, 4, p->y_dims, p->layout);
    if (describe_conv(&forward, p, FORWARD, &x, &w, &b, &y, NULL) == dnnl_success) {
        if (d == FORWARD) {
            found = forward;
            forward = NULL;
        } else if (describe_conv(&found, p, d, &x, &w, &b, &y, forward) != dnnl_success) {
            found = NULL;
        }
    }
    if (forward) dnnl_primitive_desc_destroy(forward);
    undescribe(&x);
    undescribe(&w);
    undescribe(&b);
    undescribe(&y);
    return found;
}

/* Adds an argument with memory for it, filled with numbers between -1/2 and 1/2. */
static bool add_argument(peer_conv *c, dnnl_primitive_desc_t found, int name, dnnl_query_t what,
                         int index)
{
    const described d = dnnl_primitive_desc_query_md(found, what, index);
    const size_t count = dnnl_memory_desc_get_size(d) / sizeof(float);
    dnnl_memory_t memory;
    void *data = NULL;
    if (dnnl_memory_create(&memory, d, c->peer->engine, DNNL_MEMORY_ALLOCATE) != dnnl_success)
        return false;
    c->arguments[c->count++] = (dnnl_exec_arg_t){name, memory};
    if (dnnl_memory_map_data(memory, &data) != dnnl_success || !data) return false;
    uint32_t state = 1;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        ((float *)data)[i] = (float)(state >> 8) / (1 << 24) - 0.5f;
    }
    return dnnl_memory_unmap_data(memory, data) == dnnl_success;
}

static bool add_arguments(peer_conv *c, dnnl_primitive_desc_t found, direction d)
{
    const bool forward = d == FORWARD, weights = d == BACKWARD_WEIGHTS;
    const dnnl_query_t w = weights ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
    if (d == BACKWARD_DATA ? !add_argument(c, found, DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md, 0)
                           : !add_argument(c, found, DNNL_ARG_SRC, dnnl_query_src_md, 0))
        return false;
    if (!add_argument(c, found, weights ? DNNL_ARG_DIFF_WEIGHTS : DNNL_ARG_WEIGHTS, w, 0))
        return false;
    if (d != BACKWARD_DATA &&
        !add_argument(c, found, weights ? DNNL_ARG_DIFF_BIAS : DNNL_ARG_BIAS, w, 1))
        return false;
    return forward ? add_argument(c, found, DNNL_ARG_DST, dnnl_query_dst_md, 0)
                   : add_argument(c, found, DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md, 0);
}

static request request_of(const peer *p, const cn_conv_problem *s, int way)
{
    const int below = (s->oh - 1) * s->sh + s->fh - s->h - s->pt;
    const int right = (s->ow - 1) * s->sw + s->fw - s->w - s->pl;
    request r = {.engine = p->engine,
                 .method = ways[way].method,
                 .layout = ways[way].layout,
                 .x_dims = {s->m, s->c, s->h, s->w},
                 .w_dims = {s->oc, s->c, s->fh, s->fw},
                 .w_rank = 4,
                 .b_dims = {s->oc},
                 .y_dims = {s->m, s->oc, s->oh, s->ow},
                 .stride = {s->sh, s->sw},
                 .before = {s->pt, s->pl},
                 .after = {below, right}};
    if (s->groups > 1) {
        const dnnl_dims_t grouped = {s->groups, s->oc / s->groups, s->c / s->groups, s->fh, s->fw};
        memcpy(r.w_dims, grouped, sizeof grouped);
        r.w_rank = 5;
    }
    return r;
}

peer_conv *peer_conv_open(peer *p, const cn_conv_problem *s, direction d, int way)
{
    request wanted = request_of(p, s, way);
    dnnl_post_ops_t after = NULL;
    dnnl_primitive_desc_t found = NULL;
    bool ready = false;
    peer_conv *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->peer = p;
    if (dnnl_primitive_attr_create(&wanted.attributes) != dnnl_success) goto done;
    if (dnnl_post_ops_create(&after) != dnnl_success) goto done;
    append_relu(after);
    if (dnnl_primitive_attr_set_post_ops(wanted.attributes, after) != dnnl_success) goto done;
    found = find_conv(&wanted, d);
    ready = found && dnnl_primitive_create(&c->primitive, found) == dnnl_success &&
            add_arguments(c, found, d);
done:
    if (found) dnnl_primitive_desc_destroy(found);
    if (after) dnnl_post_ops_destroy(after);
    if (wanted.attributes) dnnl_primitive_attr_destroy(wanted.attributes);
    if (ready) return c;
    peer_conv_close(c);
    return NULL;
}

void peer_conv_close(peer_conv *c)
{
    if (!c) return;
    for (int i = 0; i < c->count; i++) dnnl_memory_destroy(c->arguments[i].memory);
    if (c->primitive) dnnl_primitive_destroy(c->primitive);
    free(c);
}

void peer_conv_run(peer_conv *c)
{
    dnnl_primitive_execute(c->primitive, c->peer->stream, c->count, c->arguments);
    dnnl_stream_wait(c->peer->stream);
}
