/*
 * operators_gelu.c - GELU as exporters wrote it before operator set 20, in five operators:
 *
 *     x (1 + erf(x / sqrt(2))) / 2        the factors in any order, 1/2 at x, at the sum or at the end
 *
 * The parts are no layers. A value remembers which part of a GELU of x it is until a product with x
 * completes it; whatever else reads such a part is refused.
 */
#include "onnx/operators.h"

#include <math.h>
#include <string.h>

static bool is(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

/* Is the node x times this factor? Then *x is x. */
static bool is_scaled(const cn_importer *im, cn_node node, double factor, cn_node *x)
{
    const cn_layer *layer = &im->model->layers[node];
    if (!is(layer->type->name, "scale")) return false;
    const double own = ((const cn_scale_opts *)layer->options)->factor;
    *x = layer->inputs[0];
    return fabs(own / factor - 1) < 1e-6;
}

static cn_status import_erf(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *z;
    cn_node x;
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &z);
    if (status != CN_OK) return status;
    if (!is_scaled(im, z->node, sqrt(0.5), &x))
        return cn_import_unsupported(im, "of anything but x / sqrt(2), as in a GELU");
    cn_give(im, 0, x, &z->layout);
    if (cn_import_output(im, 0)) cn_import_output(im, 0)->part = CN_GELU_ERF;
    return CN_OK;
}

/* The number of a constant of one element. */
static cn_status number_of(cn_importer *im, const cn_value *v, double *number)
{
    *number = 0;
    if (v->kind != CN_VALUE_CONSTANT || !v->constant->real || v->constant->count != 1) return CN_OK;
    cn_status status = cn_constant_load(im, v->constant);
    if (status == CN_OK) *number = (double)v->constant->reals[0];
    return status;
}

/* x, or half of x, times a sum; the sum may be halved, too. */
static cn_status complete(cn_importer *im, const cn_value *part, const cn_value *x, cn_value *y)
{
    cn_node half;
    const bool halved = is_scaled(im, x->node, 0.5, &half) && half == part->node;
    cn_value from = *part;
    from.part = CN_GELU_NONE;
    if (x->kind != CN_VALUE_TENSOR || x->part || !(halved || x->node == part->node) ||
        !cn_layout_same(&x->layout, &part->layout))
        return cn_import_unsupported(im, "a part of a GELU of something else");
    const double factor = (part->part == CN_GELU_PHI ? 1 : 2) * (halved ? 0.5 : 1);
    cn_status status = cn_import_map(im, "gelu", &(cn_gelu_opts){.name = NULL}, &from, y);
    y->part = CN_GELU_NONE;
    if (status != CN_OK || factor == 1) return status;
    return cn_import_map(im, "scale", &(cn_scale_opts){.factor = factor}, y, y);
}

cn_status cn_import_part_of_gelu(cn_importer *im, const char *type, const cn_value *a,
                                 const cn_value *b, cn_value *y, bool *done)
{
    const cn_value *part = a->part ? a : b, *other = part == a ? b : a;
    const cn_value given = *part;
    double number;
    *done = given.part != CN_GELU_NONE;
    if (!*done) return CN_OK;
    cn_status status = number_of(im, other, &number);
    if (status != CN_OK) return status;
    cn_gelu_part next = CN_GELU_NONE;
    if (given.part == CN_GELU_ERF && is(type, "plus") && number == 1) next = CN_GELU_SUM;
    if (given.part == CN_GELU_SUM && is(type, "multiply") && number == 0.5) next = CN_GELU_PHI;
    if (given.part == CN_GELU_SUM && is(type, "divide") && part == a && number == 2)
        next = CN_GELU_PHI;
    if (next) {
        *y = (cn_value){.name = y->name,
                        .kind = CN_VALUE_TENSOR,
                        .node = given.node,
                        .layout = given.layout,
                        .part = next};
        return CN_OK;
    }
    if (given.part == CN_GELU_ERF || !is(type, "multiply") || other->kind != CN_VALUE_TENSOR)
        return cn_import_unsupported(im, "of a part of a GELU");
    return complete(im, &given, other, y);
}

const cn_operator cn_operators_gelu[] = {{"Erf", import_erf}, {NULL, NULL}};
