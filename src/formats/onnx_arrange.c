/*
 * onnx_arrange.c - layers that join two values, or put a value's elements elsewhere, as operators of
 * ONNX in its layout.
 */
#include "formats/onnx_export.h"

#include <string.h>

typedef cn_onnx_place node;

/* ---- two inputs */

/* A vector beside images is one number per channel: (batch, n) becomes (batch, n, 1, 1). */
static const char *as_image(const node *n, int input, char name[CN_ONNX_NAME])
{
    static const int shape[] = {0, -1, 1, 1};
    const char *x = cn_onnx_value_name(n->g, n->layer->inputs[input]);
    char numbers[CN_ONNX_NAME];
    if (n->layer->inputs_of[input].rank == n->layer->out.rank) return x;
    cn_onnx_integers(n->g, cn_onnx_parameter_name(numbers, n, input ? "shape_b" : "shape_a"), 4,
                     shape);
    cn_onnx_inner_name(name, n, input ? "image_b" : "image_a");
    cn_onnx_end(n->g,
                cn_onnx_node(n->g, "Reshape", name, (const char *[]){x, numbers, NULL}, name));
    return name;
}

void cn_onnx_binary(const node *n)
{
    static const char *const operators[][2] = {
        {"plus", "Add"},    {"multiply", "Mul"}, {"subtract", "Sub"}, {"divide", "Div"},
        {"maximum", "Max"}, {"minimum", "Min"},  {"power", "Pow"},
    };
    char a[CN_ONNX_NAME], b[CN_ONNX_NAME];
    size_t i = 0;
    while (strcmp(operators[i][0], n->layer->type->name) != 0) i++;
    const char *x = as_image(n, 0, a), *y = as_image(n, 1, b);
    cn_onnx_end(n->g, cn_onnx_node(n->g, operators[i][1], n->layer->name,
                                   (const char *[]){x, y, NULL}, n->layer->name));
}

/* ---- parameters of its own */

/* A parameter (n_C) that meets images: (n_C, 1, 1). */
static void write_channels(const node *n, int k)
{
    const cn_layer_parameter *w = &n->layer->parameters[k];
    const int shape[] = {w->shape.n[0], 1, 1};
    char name[CN_ONNX_NAME];
    cn_onnx_floats(n->g, cn_onnx_parameter_name(name, n, w->role), n->layer->in.rank == 3 ? 3 : 1,
                   shape, n->g->model->block + w->offset);
}

/* A product and a sum, of which either may be missing. */
void cn_onnx_affine(const node *n)
{
    const cn_affine_opts *o = n->layer->options;
    char name[CN_ONNX_NAME], between[CN_ONNX_NAME];
    const char *x = n->x, *y = n->layer->name;
    for (int k = 0; k < n->layer->parameter_count; k++) write_channels(n, k);
    if (!o->no_scale) {
        if (!o->no_shift) y = cn_onnx_inner_name(between, n, "scaled");
        cn_onnx_parameter_name(name, n, "weight");
        cn_onnx_end(n->g, cn_onnx_node(n->g, "Mul", y, (const char *[]){x, name, NULL}, y));
        x = y;
        y = n->layer->name;
    }
    if (!o->no_shift) {
        cn_onnx_parameter_name(name, n, "bias");
        cn_onnx_end(n->g, cn_onnx_node(n->g, "Add", y, (const char *[]){x, name, NULL}, y));
    }
}

/* Is the constant read only beside a value that has the batch, and is no output itself? */
static bool is_spread_by_readers(const node *n)
{
    const cn_model *m = n->g->model;
    const cn_node own = (cn_node)(n->layer - m->layers);
    for (int i = own + 1; i < m->layer_count; i++) {
        const cn_layer *reader = &m->layers[i];
        bool reads = false, other = false;
        for (int k = 0; k < reader->input_count; k++) {
            reads = reads || reader->inputs[k] == own;
            other = other || m->layers[reader->inputs[k]].type != &cn_constant_type;
        }
        if (reads && (reader->input_count != 2 || !other || reader->type == &cn_concat_type ||
                      reader->type == &cn_add_type))
            return false;
    }
    return own != m->output;
}

/* (n_C, n_H, n_W) where that is enough. Else as often as there are examples: Expand takes their
 * number from the input. */
void cn_onnx_constant(const node *n)
{
    const int *size = n->layer->out.n;
    const int extents[] = {size[2], size[0], size[1]};
    char weight[CN_ONNX_NAME], numbers[CN_ONNX_NAME], batch[CN_ONNX_NAME], shape[CN_ONNX_NAME];
    cn_onnx_write_parameter(n, 0);
    cn_onnx_parameter_name(weight, n, "weight");
    if (is_spread_by_readers(n)) {
        cn_onnx_plain_node(n, "Identity", weight, n->layer->name);
        return;
    }
    cn_onnx_integers(n->g, cn_onnx_parameter_name(numbers, n, "shape"), 3, extents);
    cn_onnx_inner_name(batch, n, "batch");
    size_t begin = cn_onnx_node(n->g, "Shape", batch, (const char *[]){n->x, NULL}, batch);
    cn_onnx_int(n->g, "start", 0);
    cn_onnx_int(n->g, "end", 1);
    cn_onnx_end(n->g, begin);
    cn_onnx_inner_name(shape, n, "shape");
    begin = cn_onnx_node(n->g, "Concat", shape, (const char *[]){batch, numbers, NULL}, shape);
    cn_onnx_int(n->g, "axis", 0);
    cn_onnx_end(n->g, begin);
    cn_onnx_end(n->g, cn_onnx_node(n->g, "Expand", n->layer->name,
                                   (const char *[]){weight, shape, NULL}, n->layer->name));
}

/* ---- other shapes and orders */

/* x as (batch, the shape), elements in the order of memory; y and the number of the shape get names
 * of the layer's that end in `last`. */
static const char *reshape_to(const node *n, const char *x, const char *last, int rank,
                              const int *shape, char y[CN_ONNX_NAME])
{
    int whole[8] = {0}; /* the batch as it is */
    char numbers[CN_ONNX_NAME];
    memcpy(whole + 1, shape, (size_t)rank * sizeof *shape);
    cn_onnx_integers(n->g, cn_onnx_parameter_name(numbers, n, last), rank + 1, whole);
    cn_onnx_inner_name(y, n, last);
    cn_onnx_end(n->g, cn_onnx_node(n->g, "Reshape", y, (const char *[]){x, numbers, NULL}, y));
    return y;
}

/* Images with their channels last; other values as they are. */
static const char *to_memory_order(const node *n, char name[CN_ONNX_NAME])
{
    if (n->layer->in.rank != 3) return n->x;
    cn_onnx_transpose(n, n->x, cn_onnx_inner_name(name, n, "channels_last"), cn_onnx_channels_last);
    return name;
}

/* The layer's value from x, whose elements are in the order of memory. */
static void from_memory_order(const node *n, const char *x)
{
    const cn_shape *out = &n->layer->out;
    char shaped[CN_ONNX_NAME];
    reshape_to(n, x, "shaped", out->rank, out->n, shaped);
    if (out->rank == 3)
        cn_onnx_transpose(n, shaped, n->layer->name, cn_onnx_channels_first);
    else
        cn_onnx_plain_node(n, "Identity", shaped, n->layer->name);
}

void cn_onnx_reshape(const node *n)
{
    char name[CN_ONNX_NAME];
    from_memory_order(n, to_memory_order(n, name));
}

/* An example read as (outer, A, B, inner), of which A and B change places. */
void cn_onnx_transpose_layer(const node *n)
{
    static const int exchanged[] = {0, 1, 3, 2, 4};
    const cn_transpose_opts *o = n->layer->options;
    const int block = o->axes[0] * o->axes[1] * o->inner;
    const int outer = (int)(cn_shape_count(&n->layer->in) / (size_t)block);
    const int parts[] = {outer, o->axes[0], o->axes[1], o->inner};
    char first[CN_ONNX_NAME], split[CN_ONNX_NAME], turned[CN_ONNX_NAME];
    reshape_to(n, to_memory_order(n, first), "parts", 4, parts, split);
    cn_onnx_inner_name(turned, n, "exchanged");
    size_t begin = cn_onnx_node(n->g, "Transpose", turned, (const char *[]){split, NULL}, turned);
    cn_onnx_ints(n->g, "perm", 5, exchanged);
    cn_onnx_end(n->g, begin);
    from_memory_order(n, turned);
}

/* Of images the axes count channels, columns, rows; there they are 1, 3 and 2. */
void cn_onnx_slice(const node *n)
{
    static const int axes[] = {1, 3, 2};
    const cn_slice_opts *o = n->layer->options;
    const int end = o->begin + (o->count - 1) * o->step + 1, axis = axes[(int)o->axis];
    const int numbers[] = {o->begin, end, axis, o->step};
    static const char *const roles[] = {"starts", "ends", "axes", "steps"};
    char names[4][CN_ONNX_NAME];
    for (int i = 0; i < 4; i++)
        cn_onnx_integers(n->g, cn_onnx_parameter_name(names[i], n, roles[i]), 1, &numbers[i]);
    cn_onnx_end(n->g,
                cn_onnx_node(n->g, "Slice", n->layer->name,
                             (const char *[]){n->x, names[0], names[1], names[2], names[3], NULL},
                             n->layer->name));
}
