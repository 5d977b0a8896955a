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
    return cn_import_fail(im, CN_ERR_UNSUPPORTED, "no such function");
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

static cn_status import_cast(cn_importer *im, const cn_graph_node *node)
{
    const int64_t to = cn_onnx_get_int(node, "to", CN_ONNX_FLOAT);
    if (!cn_span_is(node->op, "CastLike") && !cn_onnx_type_is_real(to))
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "from fractions to integers");
    return import_identity(im, node);
}

static cn_status import_dropout(cn_importer *im, const cn_graph_node *node)
{
    cn_onnx_constant *ratio = NULL;
    double rate = (double)cn_onnx_get_float(node, "ratio", 0.5f);
    cn_status status = cn_import_constant(im, 1, &ratio);
    if (status != CN_OK) return status;
    for (int k = 1; k < node->output_count; k++)
        if (node->outputs[k].size && im->file->opset >= 7)
            return cn_import_fail(im, CN_ERR_UNSUPPORTED, "the mask as an output");
    if (ratio && ratio->real && ratio->count == 1) rate = (double)ratio->reals[0];
    if (!(rate > 0 && rate < 1)) return import_identity(im, node);
    return map(im, "dropout", &(cn_dropout_opts){.rate = rate});
}

static cn_status import_leaky_relu(cn_importer *im, const cn_graph_node *node)
{
    const double slope = (double)cn_onnx_get_float(node, "alpha", 0.01f);
    if (slope == 0) return map(im, "relu", NULL);
    return map(im, "leaky_relu", &(cn_leaky_relu_opts){.slope = slope});
}

static cn_status import_elu(cn_importer *im, const cn_graph_node *node)
{
    const double alpha = (double)cn_onnx_get_float(node, "alpha", 1);
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
    *value = (double)cn_onnx_get_float(im->node, name, (float)*value);
    cn_status status = cn_import_constant(im, i, &c);
    if (status != CN_OK || !c) return status;
    if (!c->real || c->count != 1) return cn_import_fail(im, CN_ERR_FORMAT, "a bound");
    *value = (double)c->reals[0];
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
    const double alpha = (double)cn_onnx_get_float(node, "alpha", 0.2f);
    const double beta = (double)cn_onnx_get_float(node, "beta", 0.5f);
    cn_value *y = cn_import_output(im, 0);
    const cn_value *x;
    if (fabs(alpha - 1.0 / 6) < 1e-6 && beta == 0.5) return map(im, "hard_sigmoid", NULL);
    if (alpha == 0) return cn_import_fail(im, CN_ERR_UNSUPPORTED, "a slope of 0");
    cn_status status = cn_import_tensor(im, 0, -1, &x);
    if (status == CN_OK)
        status = cn_import_map(im, "scale", &(cn_scale_opts){.factor = alpha}, x, y);
    if (status == CN_OK && beta != 0)
        status = cn_import_map(im, "shift", &(cn_shift_opts){.offset = beta}, y, y);
    return status == CN_OK ? clip(im, y, 0, 1, y) : status;
}

const cn_operator cn_operators_element[] = {
    {"Relu", import_plain},
    {"Sigmoid", import_plain},
    {"Tanh", import_plain},
    {"Softplus", import_plain},
    {"HardSwish", import_plain},
    {"Identity", import_identity},
    {"Cast", import_cast},
    {"CastLike", import_cast},
    {"Dropout", import_dropout},
    {"LeakyRelu", import_leaky_relu},
    {"Elu", import_elu},
    {"Gelu", import_gelu},
    {"Clip", import_clip},
    {"HardSigmoid", import_hard_sigmoid},
    {NULL, NULL},
};
