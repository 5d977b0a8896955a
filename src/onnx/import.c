/*
 * import.c - an ONNX graph as a model.
 *
 * The nodes are walked in their order, which must be one in which every value is made before it is
 * read: so there are no cycles. Only nodes that the output depends on take part. Constants are
 * computed at once (fold.c); everything else adds layers (operators*.c). Operators that are not
 * supported are gathered, so that one message names all of them. Layers that nothing reads in the
 * end, since a constant or a better layer took their place, are left out when the graph is
 * complete (import_finish.c). At an If with a known condition the walk ends: the branch is put in its
 * place (onnx_file.c), and all begins anew.
 *
 * Channels first become channels last here and nowhere else: the input's shape is (H, W, C), and
 * the weights are turned once, when they are copied into the model.
 */
#include "onnx/import.h"

#include "onnx/onnx.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const size_t FOLDED = (size_t)1 << 27; /* elements of computed constants together */

/* ---- errors */

static void node_name(const cn_graph_node *node, char text[CN_SPAN_TEXT])
{
    cn_span name = node->name;
    if (name.size == 0 && node->output_count) name = node->outputs[0];
    cn_span_text(name, text);
}

cn_status cn_import_fail(cn_importer *im, cn_status status, const char *format, ...)
{
    char text[160], name[CN_SPAN_TEXT], op[CN_SPAN_TEXT];
    va_list args;
    va_start(args, format);
    cn_vformat(text, sizeof text, format, args);
    va_end(args);
    if (!im->node) return cn_fail(im->err, status, "%.80s: %s", im->file->path, text);
    node_name(im->node, name);
    return cn_fail(im->err, status, "%.60s: %.24s (%.40s): %s", im->file->path,
                   cn_span_text(im->node->op, op), name, text);
}

cn_status cn_import_unsupported(cn_importer *im, const char *text)
{
    return cn_import_fail(im, CN_ERR_UNSUPPORTED, "%s", text);
}

cn_status cn_import_malformed(cn_importer *im, const char *text)
{
    return cn_import_fail(im, CN_ERR_FORMAT, "%s", text);
}

/* ---- values by name */

static int by_name(const void *a, const void *b)
{
    const cn_span x = ((const cn_value *)a)->name, y = ((const cn_value *)b)->name;
    const size_t n = x.size < y.size ? x.size : y.size;
    const int order = n ? memcmp(x.bytes, y.bytes, n) : 0;
    if (order || x.size != y.size) return order ? order : x.size < y.size ? -1 : 1;
    return ((const cn_value *)a)->scope - ((const cn_value *)b)->scope;
}

cn_value *cn_import_find(const cn_importer *im, cn_span name, int scope)
{
    cn_value key = {.name = name, .scope = scope}, *found = NULL;
    if (name.size == 0) return NULL;
    for (;;) {
        found = bsearch(&key, im->values, (size_t)im->value_count, sizeof key, by_name);
        if (found || key.scope == 0) return found;
        key.scope = im->file->outer[key.scope];
    }
}

static cn_status list_values(cn_importer *im)
{
    const cn_onnx_file *file = im->file;
    size_t most = (size_t)file->tensor_count + (size_t)file->input_count;
    char text[CN_SPAN_TEXT];
    for (int i = 0; i < file->node_count; i++) most += (size_t)file->nodes[i].output_count;
    im->values = cn_allocate(most + 1, sizeof *im->values, file->path, im->err);
    if (!im->values) return CN_ERR_MEMORY;
    for (int i = 0; i < file->tensor_count; i++)
        im->values[im->value_count++] =
            (cn_value){.name = file->tensors[i].name, .scope = file->tensors[i].scope};
    for (int i = 0; i < file->node_count; i++)
        for (int k = 0; k < file->nodes[i].output_count; k++)
            if (file->nodes[i].outputs[k].size)
                im->values[im->value_count++] = (cn_value){.name = file->nodes[i].outputs[k],
                                                           .scope = file->nodes[i].output_scope};
    qsort(im->values, (size_t)im->value_count, sizeof *im->values, by_name);
    for (int i = 0; i + 1 < im->value_count; i++)
        if (by_name(&im->values[i], &im->values[i + 1]) == 0)
            return cn_fail(im->err, CN_ERR_FORMAT, "%.100s: two values are called %s", file->path,
                           cn_span_text(im->values[i].name, text));
    /* Up to IR 3 initializers are inputs, too. */
    const int made = im->value_count;
    for (int i = 0; i < file->input_count; i++) {
        const cn_value key = {.name = file->inputs[i].name};
        if (!bsearch(&key, im->values, (size_t)made, sizeof key, by_name))
            im->values[im->value_count++] = key;
    }
    qsort(im->values, (size_t)im->value_count, sizeof *im->values, by_name);
    return CN_OK;
}

cn_value *cn_import_input(cn_importer *im, int i)
{
    const cn_graph_node *node = im->node;
    return i < node->input_count ? cn_import_find(im, node->inputs[i], node->scope) : NULL;
}

cn_value *cn_import_output(cn_importer *im, int i)
{
    const cn_graph_node *node = im->node;
    return i < node->output_count ? cn_import_find(im, node->outputs[i], node->output_scope) : NULL;
}

bool cn_import_gives(cn_importer *im, int i)
{
    const cn_value *v = cn_import_output(im, i);
    return v && im->read[v - im->values];
}

/* Operators that know what to do with numbers that differ by example. */
static bool takes_steps(const cn_graph_node *node)
{
    return cn_span_is(node->op, "Gather") || cn_span_is(node->op, "Mul") ||
           cn_span_is(node->op, "Add") || cn_span_is(node->op, "Unsqueeze");
}

cn_status cn_import_constant(cn_importer *im, int i, cn_onnx_constant **c)
{
    const cn_value *v = cn_import_input(im, i);
    *c = NULL;
    if (!v) return CN_OK;
    if (v->kind != CN_VALUE_CONSTANT)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "input %d is no constant", i);
    *c = v->constant;
    if ((*c)->step && !takes_steps(im->node))
        return cn_import_unsupported(im, "numbers that differ by example");
    return cn_constant_load(im, *c);
}

cn_status cn_import_ints(cn_importer *im, int i, const char *attribute, int64_t *out, int most,
                         int *count)
{
    cn_onnx_constant *c = NULL;
    *count = 0;
    if (attribute && cn_onnx_attribute_find(im->node, attribute)) {
        *count = cn_onnx_get_ints(im->node, attribute, out, most);
        return *count < 0 ? cn_import_fail(im, CN_ERR_FORMAT, "%s: more than %d", attribute, most)
                          : CN_OK;
    }
    cn_status status = cn_import_constant(im, i, &c);
    if (status != CN_OK || !c) return status;
    if (c->real || c->step || c->count > (size_t)most)
        return cn_import_fail(im, CN_ERR_FORMAT, "input %d: expected at most %d integers", i, most);
    *count = (int)c->count;
    for (int k = 0; k < *count; k++) {
        if (c->of_batch && c->of_batch[k])
            return cn_import_unsupported(im, "a calculation with the number of examples");
        out[k] = c->ints[k];
    }
    return CN_OK;
}

cn_status cn_import_tensor(cn_importer *im, int i, int rank, const cn_value **v)
{
    *v = cn_import_input(im, i);
    if (!*v || (*v)->kind != CN_VALUE_TENSOR)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "input %d is %s", i,
                              *v ? "a constant, expected a tensor" : "missing");
    if ((*v)->flat && !cn_span_is(im->node->op, "Gather"))
        return cn_import_unsupported(im, "the batch's axis is no longer there");
    if ((*v)->part) return cn_import_unsupported(im, "erf outside of a GELU");
    if (rank >= 0 && (*v)->layout.rank != rank)
        return cn_import_fail(im, CN_ERR_UNSUPPORTED, "input %d has rank %d, expected %d", i,
                              (*v)->layout.rank + 1, rank + 1);
    return CN_OK;
}

/* ---- layers */

/* "layer1.0.conv1" of "layer1.0.conv1.weight" and of its bias, where that can be a layer's name and is
 * not taken. */
static const char *layer_name(const cn_importer *im, const cn_onnx_constant *weight,
                              char name[CN_NAME_SIZE])
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./";
    static const char *const endings[] = {".weight", ".bias"};
    if (!weight) return NULL;
    size_t n = weight->tensor.name.size;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t tail = strlen(endings[i]);
        if (n <= tail || memcmp(weight->tensor.name.bytes + n - tail, endings[i], tail) != 0)
            continue;
        n -= tail;
        break;
    }
    if (n == 0 || n >= CN_NAME_SIZE) return NULL;
    memcpy(name, weight->tensor.name.bytes, n);
    name[n] = '\0';
    if (strspn(name, allowed) != n || strcmp(name, "input") == 0) return NULL;
    for (int i = 0; i < im->model->layer_count; i++)
        if (strcmp(im->model->layers[i].name, name) == 0) return NULL;
    return name;
}

/* A layer that does the same to the same input: what two values are moved by alike is moved once.
 */
static cn_node find_layer(const cn_importer *im, const cn_layer_type *type, const void *options,
                          cn_node x)
{
    for (cn_node i = im->model->layer_count - 1; i > x && type->options; i--) {
        const cn_layer *layer = &im->model->layers[i];
        if (layer->type != type || layer->inputs[0] != x) continue;
        bool same = true;
        for (const cn_option *o = type->options; o->name && same; o++) {
            double a[4], b[4];
            const int n = cn_option_get(o, options, a);
            cn_option_get(o, layer->options, b);
            same = memcmp(a, b, (size_t)n * sizeof *a) == 0;
        }
        if (same) return i;
    }
    return -1;
}

cn_status cn_import_add(cn_importer *im, const char *type_name, const void *options,
                        const cn_node *x, int count, const cn_onnx_constant *weight, cn_node *node)
{
    char name[CN_NAME_SIZE];
    const cn_layer_type *type = cn_layer_type_find(type_name);
    const bool moves = type == &cn_reshape_type || type == &cn_transpose_type;
    const cn_node found = moves ? find_layer(im, type, options, x[0]) : -1;
    if (found >= 0) {
        *node = found;
        return CN_OK;
    }
    const cn_node made =
        cn_model_add(im->model, type, options, layer_name(im, weight, name), x, count);
    if (made < 0)
        return cn_import_fail(im, im->model->error.status, "%.150s", im->model->error.text);
    *node = made;
    return CN_OK;
}

cn_status cn_import_map(cn_importer *im, const char *type, const void *options, const cn_value *x,
                        cn_value *y)
{
    cn_value made = *x;
    cn_status status = cn_import_add(im, type, options, &x->node, 1, NULL, &made.node);
    if (status != CN_OK) return status;
    y->kind = CN_VALUE_TENSOR;
    y->node = made.node;
    y->layout = made.layout;
    return CN_OK;
}

/* ---- the walk */

static const cn_operator *find_operator(const cn_graph_node *node)
{
    static const cn_operator *const tables[] = {
        cn_operators_conv,    cn_operators_pool,  cn_operators_norm,
        cn_operators_element, cn_operators_shape, cn_operators_binary,
        cn_operators_image,   cn_operators_gelu,  cn_operators_gather,
    };
    if (node->domain.size && !cn_span_is(node->domain, "ai.onnx")) return NULL;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const cn_operator *op = tables[t]; op->name; op++)
            if (cn_span_is(node->op, op->name)) return op;
    return NULL;
}

/* Marks the nodes that the outputs depend on, from the last to the first. */
static cn_status mark_needed(cn_importer *im, bool *needed)
{
    const cn_onnx_file *file = im->file;
    bool *read = cn_allocate((size_t)im->value_count + 1, sizeof *read, file->path, im->err);
    if (!read) return CN_ERR_MEMORY;
    im->read = read;
    for (int i = 0; i < file->output_count; i++) {
        char name[CN_SPAN_TEXT];
        const cn_value *output = cn_import_find(im, file->outputs[i].name, 0);
        if (!output)
            return cn_import_fail(im, CN_ERR_FORMAT, "nothing makes the output %s",
                                  cn_span_text(file->outputs[i].name, name));
        read[output - im->values] = true;
    }
    for (int i = file->node_count - 1; i >= 0; i--) {
        const cn_graph_node *node = &file->nodes[i];
        for (int k = 0; k < node->output_count; k++) {
            const cn_value *v = cn_import_find(im, node->outputs[k], node->output_scope);
            needed[i] = needed[i] || (v && read[v - im->values]);
        }
        for (int k = 0; needed[i] && k < node->input_count; k++) {
            const cn_value *v = cn_import_find(im, node->inputs[k], node->scope);
            if (v) read[v - im->values] = true;
        }
    }
    return CN_OK;
}

/* Adds the node to the list of what is missing. */
static void note_missing(cn_importer *im, const char *why)
{
    char name[CN_SPAN_TEXT], op[CN_SPAN_TEXT], domain[CN_SPAN_TEXT];
    const size_t used = strlen(im->missing), room = sizeof im->missing - used;
    const bool own = im->node->domain.size == 0; /* ONNX's */
    if (im->unsupported.status == CN_OK)
        cn_fail(&im->unsupported, CN_ERR_UNSUPPORTED, "%.200s", why);
    if (room < 8) return;
    node_name(im->node, name);
    const int n = snprintf(im->missing + used, room, "%s%.30s%s%.30s (%.40s)", used ? ", " : "",
                           own ? "" : cn_span_text(im->node->domain, domain), own ? "" : ".",
                           cn_span_text(im->node->op, op), name);
    if (n >= (int)room) memcpy(im->missing + sizeof im->missing - 4, "...", 4);
}

static void set_outputs(cn_importer *im, cn_value_kind kind)
{
    for (int k = 0; k < im->node->output_count; k++) {
        cn_value *v = cn_import_output(im, k);
        if (v) v->kind = kind;
    }
}

static cn_status check_inputs(cn_importer *im, const cn_graph_node *node, bool *constant,
                              bool *unknown)
{
    char name[CN_SPAN_TEXT];
    *constant = true;
    *unknown = false;
    for (int k = 0; k < node->input_count; k++) {
        const cn_value *v = cn_import_input(im, k);
        if (node->inputs[k].size == 0) continue;
        if (!v || v->kind == CN_VALUE_NONE)
            return cn_import_fail(im, CN_ERR_FORMAT, "reads %s, which nothing before it makes",
                                  cn_span_text(node->inputs[k], name));
        *constant = *constant && v->kind == CN_VALUE_CONSTANT;
        *unknown = *unknown || v->kind == CN_VALUE_UNKNOWN;
    }
    return CN_OK;
}

/* The values between the nodes of a pooling are none for others. */
static cn_status check_windows(cn_importer *im, const cn_graph_node *node)
{
    const bool takes = cn_span_is(node->op, "Transpose") || cn_span_is(node->op, "GatherND") ||
                       cn_span_is(node->op, "ReduceMean");
    for (int k = 0; k < node->input_count; k++) {
        const cn_value *v = cn_import_input(im, k);
        if (v && v->kind == CN_VALUE_WINDOWS && (k > 0 || !takes))
            return cn_import_unsupported(im, "the batch's axis is not the first");
    }
    return CN_OK;
}

static cn_status import_node(cn_importer *im, const cn_graph_node *node)
{
    bool constant, unknown;
    const cn_operator *op = find_operator(node);
    im->node = node;
    cn_status status = check_inputs(im, node, &constant, &unknown);
    if (status != CN_OK) return status;
    const bool folded = constant && cn_folds(node);
    if (!unknown && (folded || (op && op->import))) {
        status = folded ? cn_fold(im, node) : check_windows(im, node);
        if (!folded && status == CN_OK) status = op->import(im, node);
        if (status != CN_ERR_UNSUPPORTED) return status;
        note_missing(im, im->err->text);
    } else if (!op) {
        note_missing(im, "");
    }
    set_outputs(im, CN_VALUE_UNKNOWN);
    return CN_OK;
}

static cn_status import_nodes(cn_importer *im)
{
    const cn_onnx_file *file = im->file;
    bool *needed = cn_allocate((size_t)file->node_count + 1, sizeof *needed, file->path, im->err);
    if (!needed) return CN_ERR_MEMORY;
    cn_status status = mark_needed(im, needed);
    for (int i = 0; i < file->node_count && status == CN_OK && !im->branch; i++)
        if (needed[i]) status = import_node(im, &file->nodes[i]);
    im->node = NULL;
    cn_release(needed);
    if (im->branch) return CN_ERR_UNSUPPORTED; /* not yet */
    if (status != CN_OK || im->unsupported.status == CN_OK) return status;
    if (!strchr(im->missing, ',') && im->unsupported.text[0])
        return cn_fail(im->err, CN_ERR_UNSUPPORTED, "%s", im->unsupported.text);
    if (file->function_count > 0)
        return cn_fail(im->err, CN_ERR_UNSUPPORTED,
                       "%.60s: not supported: %.90s; the file defines functions, which "
                       "onnx.inliner.inline_local_functions writes out",
                       file->path, im->missing);
    return cn_fail(im->err, CN_ERR_UNSUPPORTED, "%.80s: not supported: %s", file->path,
                   im->missing);
}

/* ---- the file */

static cn_status import_graph(cn_importer *im, bool shape_only, cn_model **model)
{
    cn_status status = list_values(im);
    if (status == CN_OK) status = cn_import_inputs(im);
    if (!im->model && (status == CN_ERR_SHAPE || status == CN_ERR_ARGUMENT)) return status;
    if (status == CN_OK) status = import_nodes(im);
    if (status == CN_OK) status = cn_import_finish(im, shape_only, model);
    /* A caller's mistake while building is the file's here. */
    if (status == CN_ERR_ARGUMENT || status == CN_ERR_SHAPE)
        im->err->status = status = CN_ERR_FORMAT;
    return status;
}

cn_status cn_onnx_import(cn_model **model, cn_onnx_file *file, bool shape_only, cn_error *err)
{
    cn_error own = {CN_OK, ""};
    cn_status status;
    const char *branch;
    do {
        cn_importer im = {.file = file, .err = err ? err : &own, .budget = FOLDED};
        status = import_graph(&im, shape_only, model);
        cn_constants_free(&im);
        cn_model_free(im.model);
        cn_release(im.fills);
        cn_release(im.read);
        cn_release(im.values);
        cn_release(im.ports);
        cn_release(im.port_names);
        branch = im.branch;
        if (branch) status = cn_onnx_take_branch(file, im.chosen, branch, im.err);
    } while (branch && status == CN_OK);
    return status;
}

cn_status cn_onnx_load(cn_model **model, const char *path, bool shape_only,
                       const cn_input_size *sizes, int count, cn_error *err)
{
    cn_onnx_file file = {.path = NULL};
    cn_status status = cn_onnx_file_load(&file, path, err);
    if (status != CN_OK) return status;
    file.sizes = sizes;
    file.size_count = count;
    status = cn_onnx_import(model, &file, shape_only, err);
    cn_onnx_file_free(&file);
    return status;
}
