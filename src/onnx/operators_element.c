/* operators_element.c - functions of one element. */
#include "onnx/operators.h"

#include <float.h>
#include <math.h>

/* Input 0 through a layer without options, which keeps its layout. */
static cn_status map(cn_importer *im, const char *type, const void *options)
{
    const cn_value *x;
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status != CN_OK) return status;
    return cn_import_map(im, type, options, x, cn_import_output(im, 0));
}

/* The operators that are a layer by themselves. */
static cn_status import_plain(cn_importer *im, const cn_graph_node *node)
{
    static const struct {
        const char *op, *type;
    } names[] = {
        {"Relu", "relu"},         {"Sigmoid", "sigmoid"},      {"Tanh", "tanh"},
        {"Softplus", "softplus"}, {"HardSwish", "hard_swish"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cn_span_is(node->op, names[i].op)) return map(im, names[i].type, NULL);
    return cn_import_unsupported(im, "no such function");
}

/* The output is the input, by another name. */
static cn_status import_identity(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *x;
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK) cn_give(im, 0, x->node, &x->layout);
    return status;
}

/* A constant becomes one of fractions, as a tensor's elements are. */
static cn_status cast_constant(cn_importer *im, const cn_value *v)
{
    cn_onnx_constant *c;
    cn_value *y = cn_import_output(im, 0);
    cn_status status = cn_import_constant(im, 0, &c);
    if (status != CN_OK) return status;
    if (!y) return cn_import_malformed(im, "no output");
    y->kind = CN_VALUE_CONSTANT;
    y->constant = v->constant;
    if (c->real) return CN_OK;
    if (c->of_batch) return cn_import_unsupported(im, "of the number of examples");
    y->constant = cn_constant_new(im, true, c->rank, c->dims);
    if (!y->constant) return im->err->status;
    for (size_t i = 0; i < c->count; i++) y->constant->reals[i] = (float)c->ints[i];
    return CN_OK;
}

static cn_status import_cast(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *x = cn_import_input(im, 0);
    if (cn_span_is(node->op, "CastLike") && x && x->kind == CN_VALUE_CONSTANT)
        return cast_constant(im, x);
    const int64_t to = cn_onnx_get_int(node, "to", CN_ONNX_FLOAT);
    if (!cn_span_is(node->op, "CastLike") && !cn_onnx_type_is_real(to))
        return cn_import_unsupported(im, "from fractions to integers");
    return import_identity(im, node);
}

static cn_status import_dropout(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *ratio = NULL;
    double rate = cn_onnx_get_decimal(node, "ratio", 0.5f);
    cn_status status = cn_import_constant(im, 1, &ratio);
    if (status != CN_OK) return status;
    for (int k = 1; k < node->output_count; k++)
        if (cn_import_gives(im, k)) return cn_import_unsupported(im, "the mask as an output");
    if (ratio && ratio->real && ratio->count == 1) rate = cn_onnx_decimal(ratio->reals[0]);
    if (!(rate > 0 && rate < 1)) return import_identity(im, node);
    return map(im, "dropout", &(cn_dropout_opts){.rate = rate});
}

static cn_status import_leaky_relu(cn_importer *im, const cn_graph_node *node)
{
    const double slope = cn_onnx_get_decimal(node, "alpha", 0.01f);
    if (slope == 0) return map(im, "relu", NULL);
    return map(im, "leaky_relu", &(cn_leaky_relu_opts){.slope = slope});
}

static cn_status import_elu(cn_importer *im, const cn_graph_node *node)
{
    const double alpha = cn_onnx_get_decimal(node, "alpha", 1);
    return map(im, "elu", &(cn_elu_opts){.alpha = alpha});
}

static cn_status import_gelu(cn_importer *im, const cn_graph_node *node)
{
    const bool approximate = cn_onnx_get_is(node, "approximate", "tanh", "none");
    return map(im, "gelu", &(cn_gelu_opts){.approximate = approximate});
}

static cn_status clip(cn_importer *im, const cn_value *x, double lower, double upper, cn_value *y)
{
    if (lower == 0 && upper >= (double)FLT_MAX) return cn_import_map(im, "relu", NULL, x, y);
    if (lower == 0 && upper == 6) return cn_import_map(im, "relu6", NULL, x, y);
    return cn_import_map(im, "clip", &(cn_clip_opts){.lower = lower, .upper = upper}, x, y);
}

/* A bound: an input, or before version 11 an attribute. */
static cn_status bound(cn_importer *im, int i, const char *name, double *value)
{
    cn_onnx_constant *c;
    *value = cn_onnx_get_decimal(im->node, name, (float)*value);
    cn_status status = cn_import_constant(im, i, &c);
    if (status != CN_OK || !c) return status;
    if (!c->real || c->count != 1) return cn_import_malformed(im, "a bound");
    *value = cn_onnx_decimal(c->reals[0]);
    return CN_OK;
}

static cn_status import_clip(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *x;
    double lower = -(double)FLT_MAX, upper = (double)FLT_MAX;
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK) status = bound(im, 1, "min", &lower);
    if (status == CN_OK) status = bound(im, 2, "max", &upper);
    if (status != CN_OK) return status;
    if (!(lower <= upper)) lower = upper; /* as the operator has it: the upper one wins */
    lower = lower < -(double)FLT_MAX ? -(double)FLT_MAX : lower;
    upper = upper > (double)FLT_MAX ? (double)FLT_MAX : upper;
    return clip(im, x, lower, upper, cn_import_output(im, 0));
}

static cn_status import_hard_sigmoid(cn_importer *im, const cn_graph_node *node)
{
    const double alpha = cn_onnx_get_decimal(node, "alpha", 0.2f);
    const double beta = cn_onnx_get_decimal(node, "beta", 0.5f);
    cn_value *y = cn_import_output(im, 0);
    const cn_value *x;
    if (fabs(alpha - 1.0 / 6) < 1e-6 && beta == 0.5) return map(im, "hard_sigmoid", NULL);
    if (alpha == 0) return cn_import_unsupported(im, "a slope of 0");
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK)
        status = cn_import_map(im, "scale", &(cn_scale_opts){.factor = alpha}, x, y);
    if (status == CN_OK && beta != 0)
        status = cn_import_map(im, "shift", &(cn_shift_opts){.offset = beta}, y, y);
    return status == CN_OK ? clip(im, y, 0, 1, y) : status;
}

/* ---- functions that are several layers */

/* Both inputs of a layer of two; y may be one of them. */
static cn_status two(cn_importer *im, const char *type, const cn_value *a, const cn_value *b,
                     cn_value *y)
{
    const cn_value u = *a, v = *b;
    return cn_import_binary(im, type, &u, &v, y);
}

static cn_status scale(cn_importer *im, double factor, const cn_value *x, cn_value *y)
{
    return cn_import_map(im, "scale", &(cn_scale_opts){.factor = factor}, x, y);
}

/* A number as a constant. */
static cn_status number(cn_importer *im, double value, cn_value *v)
{
    cn_onnx_constant *c = cn_constant_new(im, true, 0, NULL);
    if (!c) return im->err->status;
    c->reals[0] = (float)value;
    *v = (cn_value){.kind = CN_VALUE_CONSTANT, .constant = c};
    return CN_OK;
}

static cn_status power(cn_importer *im, double exponent)
{
    const cn_value *x;
    cn_value v;
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK) status = number(im, exponent, &v);
    return status == CN_OK ? cn_import_two(im, "power", x, &v, cn_import_output(im, 0)) : status;
}

static cn_status import_sqrt(cn_importer *im, const cn_graph_node *node)
{
    (void)node;
    return power(im, 0.5);
}

static cn_status import_reciprocal(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *x;
    cn_value one;
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK) status = number(im, 1, &one);
    return status == CN_OK ? cn_import_two(im, "divide", &one, x, cn_import_output(im, 0)) : status;
}

/* e^x, e rounded to float: its logarithm differs from 1 by 3e-8. */
static cn_status import_exp(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *x;
    cn_value e;
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK) status = number(im, 2.718281828459045, &e);
    return status == CN_OK ? cn_import_two(im, "power", &e, x, cn_import_output(im, 0)) : status;
}

static cn_status import_neg(cn_importer *im, const cn_graph_node *node)
{
    (void)node;
    return map(im, "scale", &(cn_scale_opts){.factor = -1});
}

/* |x| = max(x, -x) */
static cn_status import_abs(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *x;
    cn_value minus = {.kind = CN_VALUE_NONE};
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK) status = scale(im, -1, x, &minus);
    return status == CN_OK ? two(im, "maximum", x, &minus, cn_import_output(im, 0)) : status;
}

/* x / (1 + |x|) */
static cn_status import_softsign(cn_importer *im, const cn_graph_node *node)
{
    cn_value *y = cn_import_output(im, 0);
    cn_status status = import_abs(im, node);
    if (status == CN_OK) status = cn_import_map(im, "shift", &(cn_shift_opts){.offset = 1}, y, y);
    return status == CN_OK ? two(im, "divide", cn_import_input(im, 0), y, y) : status;
}

/* gamma (x where x > 0, else alpha (e^x - 1)) */
static cn_status import_selu(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *x;
    cn_value *y = cn_import_output(im, 0);
    const double alpha = cn_onnx_get_decimal(node, "alpha", 1.67326319217681884765625f);
    const double gamma = cn_onnx_get_decimal(node, "gamma", 1.05070102214813232421875f);
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK) status = cn_import_map(im, "elu", &(cn_elu_opts){.alpha = alpha}, x, y);
    return status == CN_OK ? scale(im, gamma, y, y) : status;
}

/* max(x, 0) + min(alpha (e^(x / alpha) - 1), 0) = alpha elu(x / alpha) */
static cn_status import_celu(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *x;
    cn_value *y = cn_import_output(im, 0);
    const double alpha = cn_onnx_get_decimal(node, "alpha", 1);
    if (!(alpha > 0)) return cn_import_fail(im, CN_ERR_UNSUPPORTED, "alpha %g", alpha);
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK) status = scale(im, 1 / alpha, x, y);
    if (status == CN_OK) status = cn_import_map(im, "elu", &(cn_elu_opts){.alpha = 1}, y, y);
    return status == CN_OK ? scale(im, alpha, y, y) : status;
}

/* x tanh(ln(1 + e^x)) */
static cn_status import_mish(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *x;
    cn_value *y = cn_import_output(im, 0);
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK) status = cn_import_map(im, "softplus", NULL, x, y);
    if (status == CN_OK) status = cn_import_map(im, "tanh", NULL, y, y);
    return status == CN_OK ? two(im, "multiply", x, y, y) : status;
}

/* x sigmoid(alpha x) */
static cn_status import_swish(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *x;
    cn_value *y = cn_import_output(im, 0);
    const double alpha = cn_onnx_get_decimal(node, "alpha", 1);
    if (alpha == 1) return map(im, "silu", NULL);
    if (alpha == 0) return cn_import_unsupported(im, "alpha 0");
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK) status = scale(im, alpha, x, y);
    if (status == CN_OK) status = cn_import_map(im, "sigmoid", NULL, y, y);
    return status == CN_OK ? two(im, "multiply", x, y, y) : status;
}

/* max(x, 0) - slope max(-x, 0), the slopes learnt */
static cn_status import_prelu(cn_importer *im, const cn_graph_node *node)
{
    const cn_value *x, *given = cn_import_input(im, 1);
    cn_value *y = cn_import_output(im, 0), above = {.kind = CN_VALUE_NONE}, below = above, slope;
    (void)node;
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status != CN_OK) return status;
    if (!given) return cn_import_malformed(im, "no slope");
    slope = *given;
    if (im->file->opset < 7) status = cn_import_from_axis(im, x, 1, &slope); /* of channels */
    if (status == CN_OK) status = cn_import_map(im, "relu", NULL, x, &above);
    if (status == CN_OK) status = scale(im, -1, x, &below);
    if (status == CN_OK) status = cn_import_map(im, "relu", NULL, &below, &below);
    if (status == CN_OK) status = cn_import_two(im, "multiply", &below, &slope, &below);
    return status == CN_OK ? two(im, "subtract", &above, &below, y) : status;
}

const cn_operator cn_operators_element[] = {
    {"Relu", import_plain},      {"Sigmoid", import_plain},
    {"Tanh", import_plain},      {"Softplus", import_plain},
    {"HardSwish", import_plain}, {"Identity", import_identity},
    {"Cast", import_cast},       {"CastLike", import_cast},
    {"Dropout", import_dropout}, {"LeakyRelu", import_leaky_relu},
    {"Elu", import_elu},         {"Gelu", import_gelu},
    {"Clip", import_clip},       {"HardSigmoid", import_hard_sigmoid},
    {"Sqrt", import_sqrt},       {"Reciprocal", import_reciprocal},
    {"Exp", import_exp},         {"Neg", import_neg},
    {"Abs", import_abs},         {"Softsign", import_softsign},
    {"Selu", import_selu},       {"Celu", import_celu},
    {"Mish", import_mish},       {"Swish", import_swish},
    {"PRelu", import_prelu},     {NULL, NULL},
};
