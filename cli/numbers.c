/* numbers.c - arrays of floats in files, and what a model makes of them. */
#include "numbers.h"

#include "base/sink.h"
#include "formats/channels_first.h"
#include "formats/npy.h"
#include "formats/npz_save.h"
#include "model/model.h"

#include <stdio.h>
#include <string.h>

/* ---- which file is whose */

enum { LIST = 160 };

/* "(m, 3, 32, 32)": the shape of an input's array. */
static void shape_text(const cn_port *port, cli_layout layout, char text[CN_SHAPE_TEXT])
{
    const int *n = port->shape, first = layout == CLI_NCHW;
    if (port->rank == 1)
        snprintf(text, CN_SHAPE_TEXT, "(m, %d)", n[0]);
    else
        snprintf(text, CN_SHAPE_TEXT, "(m, %d, %d, %d)", n[first ? 2 : 0], n[first ? 0 : 1],
                 n[first ? 1 : 2]);
}

/* "image (m, 32, 32, 3), table (m, 7)": the inputs that there are. */
static const char *inputs_text(const cn_model *model, cli_layout layout, char text[LIST])
{
    char shape[CN_SHAPE_TEXT];
    cn_port port;
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; cn_model_input(model, i, &port) && used < LIST; i++) {
        shape_text(&port, layout, shape);
        used += (size_t)snprintf(text + used, LIST - used, "%s%.40s %s", i ? ", " : "", port.name,
                                 shape);
    }
    if (used >= LIST) memcpy(text + LIST - 4, "...", 4);
    return text;
}

/* The input of "NAME=FILE", by the longest name that fits, and the file; or the only input. */
static cn_status find_input(const cn_model *model, const char *text, cli_layout layout, int *input,
                            const char **file, cn_error *err)
{
    char list[LIST];
    const char *equals = strchr(text, '=');
    size_t longest = 0;
    cn_port port;
    *input = -1;
    for (int i = 0; cn_model_input(model, i, &port); i++) {
        const size_t n = strlen(port.name);
        if (n <= longest || strncmp(text, port.name, n) != 0 || text[n] != '=') continue;
        longest = n;
        *input = i;
        *file = text + n + 1;
    }
    if (*input >= 0) return CN_OK;
    if (equals)
        return cn_fail(err, CN_ERR_ARGUMENT, "the model has no input \"%.*s\", only %s",
                       equals - text > 40 ? 40 : (int)(equals - text), text,
                       inputs_text(model, layout, list));
    if (cn_model_input_count(model) > 1)
        return cn_fail(err, CN_ERR_ARGUMENT, "%.60s: for which input? Expected NAME=FILE of %s",
                       text, inputs_text(model, layout, list));
    *input = 0;
    *file = text;
    return CN_OK;
}

/* The file of each input. */
static cn_status assign(const cn_model *model, const char *const *given, int count,
                        cli_layout layout, const char **files, cn_error *err)
{
    char list[LIST];
    cn_port port;
    for (int k = 0; k < count; k++) {
        const char *file = NULL;
        int input;
        cn_status status = find_input(model, given[k], layout, &input, &file, err);
        if (status != CN_OK) return status;
        if (files[input] && cn_model_input(model, input, &port))
            return cn_fail(err, CN_ERR_ARGUMENT, "input %.60s is given twice: %.60s and %.60s",
                           port.name, files[input], file);
        files[input] = file;
    }
    for (int i = 0; cn_model_input(model, i, &port); i++)
        if (!files[i])
            return cn_fail(err, CN_ERR_ARGUMENT, "input %.40s is missing: the model has %s",
                           port.name, inputs_text(model, layout, list));
    return CN_OK;
}

/* Is the array (m, ...) of such examples, in this layout? */
static bool has_shape(const cn_array_about *about, const cn_port *port, cli_layout layout)
{
    const int *n = port->shape;
    const int first[3] = {n[2], n[0], n[1]};
    if (port->rank == 1) return about->rank == 2 && about->shape[1] == n[0];
    if (about->rank == 2) return n[0] == 1 && n[1] == 1 && about->shape[1] == n[2];
    return about->rank == 4 &&
           memcmp(about->shape + 1, layout == CLI_NCHW ? first : n, 3 * sizeof *n) == 0;
}

static cn_status refuse(const cn_array_about *about, const cn_port *port, const char *path,
                        cli_layout layout, cn_error *err)
{
    char found[CN_SHAPE_TEXT], expected[CN_SHAPE_TEXT];
    const bool other = has_shape(about, port, layout == CLI_NCHW ? CLI_NHWC : CLI_NCHW);
    shape_text(port, layout, expected);
    return cn_fail(err, CN_ERR_SHAPE, "%.100s: shape %s, expected %s%s", path,
                   cn_shape_text(about->rank, about->shape, found), expected,
                   !other               ? ""
                   : layout == CLI_NCHW ? ": it is --layout nhwc"
                                        : ": it is --layout nchw");
}

/* ---- layouts */

/* Each example (c, h, w) becomes (h, w, c), or with `first` the other way about. */
static cn_status reorder(cn_tensor *t, bool first, cn_error *err)
{
    const int *s = t->shape;
    const int n[4] = {first ? s[1] : s[2], first ? s[2] : s[3], first ? s[3] : s[1], 1};
    const int shape[4] = {s[0], first ? n[2] : n[0], first ? n[0] : n[1], first ? n[1] : n[2]};
    size_t each = (size_t)n[0] * (size_t)n[1] * (size_t)n[2];
    cn_tensor turned = {0};
    cn_status status = cn_tensor_create(&turned, CN_DTYPE_F32, 4, shape, err);
    if (status != CN_OK) return status;
    for (size_t i = 0; i < (size_t)s[0]; i++) {
        const float *from = (const float *)t->data + i * each;
        float *to = (float *)turned.data + i * each;
        if (first)
            cn_to_channels_first(n, from, to);
        else
            cn_from_channels_first(n, from, to);
    }
    cn_tensor_free(t);
    *t = turned;
    return CN_OK;
}

/* ---- reading */

static cn_status make_floats(cn_tensor *X, const cn_array *array, cn_error *err)
{
    cn_status status =
        cn_tensor_create(X, CN_DTYPE_F32, array->about.rank, array->about.shape, err);
    if (status != CN_OK) return status;
    float *x = X->data;
    for (size_t i = 0; i < cn_tensor_count(X); i++) x[i] = (float)cn_array_value(array, i);
    return CN_OK;
}

cn_status cli_numbers_shape(const char *text, cli_layout layout, cli_shapes *shapes, cn_error *err)
{
    const char *equals = strchr(text, '='), *path = equals ? equals + 1 : text;
    const size_t length = equals ? (size_t)(equals - text) : 0;
    char *name = shapes->names[shapes->count];
    cn_array_about about;
    cn_source *source = NULL;
    cn_status status = cn_source_open(&source, path, CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_npy_header(source, &about, err);
    cn_source_close(source);
    if (status != CN_OK) return status;
    const int *n = about.shape, first = about.rank == 4 && layout == CLI_NCHW;
    snprintf(name, sizeof shapes->names[0], "%.*s", (int)(length < 255 ? length : 255), text);
    cn_input_size *size = &shapes->sizes[shapes->count++];
    *size = (cn_input_size){.name = equals ? name : NULL};
    if (about.rank == 4)
        memcpy(size->shape, (int[]){n[1 + first], n[2 + first], n[first ? 1 : 3]},
               sizeof size->shape);
    else if (about.rank == 2)
        memcpy(size->shape, (int[]){1, 1, n[1]}, sizeof size->shape);
    return CN_OK;
}

/* An input's array, examples channels last. */
static cn_status load_input(cn_tensor *X, const cn_port *port, const char *path, cli_layout layout,
                            cn_error *err)
{
    cn_source *source = NULL;
    cn_array array = {.data = NULL};
    cn_tensor t = {0};
    cn_status status = cn_source_open(&source, path, CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_npy_read(source, "input", &array, err);
    cn_source_close(source);
    if (status == CN_OK && !has_shape(&array.about, port, layout))
        status = refuse(&array.about, port, path, layout, err);
    if (status == CN_OK) status = make_floats(&t, &array, err);
    cn_release(array.data);
    if (status == CN_OK && layout == CLI_NCHW && t.rank == 4) status = reorder(&t, false, err);
    if (status == CN_OK)
        *X = t;
    else
        cn_tensor_free(&t);
    return status;
}

/* Puts an input's array, which becomes empty, where the model has it: the first makes room. */
static cn_status pack(cn_tensor *X, const cn_model *model, const cn_port *port, cn_tensor *part,
                      const char *path, cn_error *err)
{
    const int *n = cn_model_input_shape(model), m = part->shape[0];
    const int shape[4] = {m, n[0], n[1], n[2]};
    cn_status status = CN_OK;
    if (!X->data) status = cn_tensor_create(X, CN_DTYPE_F32, 4, shape, err);
    if (status == CN_OK && X->shape[0] != m)
        status = cn_fail(err, CN_ERR_SHAPE, "%.100s: %d examples, but the other inputs have %d",
                         path, m, X->shape[0]);
    const size_t size = m > 0 ? cn_tensor_count(part) / (size_t)m : 0;
    const size_t whole = (size_t)n[0] * (size_t)n[1] * (size_t)n[2];
    for (size_t i = 0; status == CN_OK && i < (size_t)m; i++)
        memcpy((float *)X->data + i * whole + (size_t)port->offset, (float *)part->data + i * size,
               size * sizeof(float));
    cn_tensor_free(part);
    return status;
}

cn_status cli_numbers_load(cn_tensor *X, const cn_model *model, const char *const *given, int count,
                           cli_layout layout, cn_error *err)
{
    const size_t inputs = (size_t)cn_model_input_count(model);
    const char **files = cn_allocate(inputs, sizeof *files, "inputs", err);
    cn_port port;
    if (!files) return CN_ERR_MEMORY;
    cn_status status = assign(model, given, count, layout, files, err);
    for (int i = 0; status == CN_OK && cn_model_input(model, i, &port); i++) {
        cn_tensor part = {0};
        status = load_input(&part, &port, files[i], layout, err);
        if (status == CN_OK) status = pack(X, model, &port, &part, files[i], err);
    }
    cn_release((void *)files);
    if (status != CN_OK) cn_tensor_free(X);
    return status;
}

/* ---- writing */

static cn_status save_array(const cn_tensor *t, const char *path, cn_error *err)
{
    cn_sink *sink = NULL;
    cn_status status = cn_sink_open(&sink, path, err);
    if (status == CN_OK) status = cn_npy_write(sink, t, err);
    if (status == CN_OK) status = cn_sink_commit(sink, err);
    cn_sink_close(sink);
    return status;
}

cn_status cli_numbers_part(const cn_tensor *Y, const cn_port *port, cn_tensor *part, cn_error *err)
{
    const int m = Y->shape[0];
    const size_t whole = m > 0 ? cn_tensor_count(Y) / (size_t)m : 0, size = cn_port_count(port);
    int shape[CN_MAX_RANK] = {m};
    memcpy(shape + 1, port->shape, (size_t)port->rank * sizeof *shape);
    cn_status status = cn_tensor_create(part, CN_DTYPE_F32, port->rank + 1, shape, err);
    for (size_t i = 0; status == CN_OK && i < (size_t)m; i++)
        memcpy((float *)part->data + i * size,
               (const float *)Y->data + i * whole + (size_t)port->offset, size * sizeof(float));
    return status;
}

cn_status cli_numbers_expect(const cn_model *model, const char *path, cn_error *err)
{
    char names[LIST] = "";
    size_t used = 0;
    cn_port port;
    if (cn_ends_in(path, ".npz") || cn_model_output_count(model) == 1) return CN_OK;
    for (int i = 0; cn_model_output(model, i, &port) && used < LIST; i++)
        used += (size_t)snprintf(names + used, LIST - used, "%s%.40s", i ? ", " : "", port.name);
    if (used >= LIST) memcpy(names + LIST - 4, "...", 4);
    return cn_fail(err, CN_ERR_ARGUMENT,
                   "%.60s: one array for the outputs %s; expected a name that ends in .npz, or "
                   "--output NAME",
                   path, names);
}

cn_status cli_numbers_save(const cn_tensor *Y, const cn_model *model, const char *path,
                           cli_layout layout, cn_error *err)
{
    const size_t outputs = (size_t)cn_model_output_count(model);
    cn_port port;
    cn_named_tensor *parts = cn_allocate(outputs, sizeof *parts, "outputs", err);
    if (!parts) return CN_ERR_MEMORY;
    cn_status status = cli_numbers_expect(model, path, err);
    for (int i = 0; status == CN_OK && cn_model_output(model, i, &port); i++) {
        parts[i].name = port.name;
        status = cli_numbers_part(Y, &port, &parts[i].value, err);
        if (status == CN_OK && layout == CLI_NCHW && port.rank == 3)
            status = reorder(&parts[i].value, true, err);
    }
    if (status == CN_OK)
        status = cn_ends_in(path, ".npz") ? cn_npz_save(parts, (int)outputs, path, err)
                                          : save_array(&parts[0].value, path, err);
    for (size_t i = 0; i < outputs; i++) cn_tensor_free(&parts[i].value);
    cn_release(parts);
    return status;
}

/* ---- running */

cn_status cli_numbers_run(cn_model *model, const cn_session_opts *opts, const cn_tensor *X,
                          cn_tensor *Y, cn_error *err)
{
    int rank, shape[CN_MAX_RANK] = {X->shape[0]};
    const int *out = cn_model_output_shape(model, &rank);
    const size_t from = cn_tensor_count(X) / (size_t)X->shape[0];
    const size_t to = (size_t)cn_model_output_size(model);
    cn_session *session = NULL;
    memcpy(shape + 1, out, (size_t)rank * sizeof *out);
    cn_status status = cn_tensor_create(Y, CN_DTYPE_F32, rank + 1, shape, err);
    if (status == CN_OK) status = cn_session_create_inference(&session, model, opts, err);
    for (int i = 0; i < X->shape[0] && status == CN_OK; i += opts->batch) {
        int m = X->shape[0] - i < opts->batch ? X->shape[0] - i : opts->batch;
        const int part[4] = {m, X->shape[1], X->shape[2], X->shape[3]};
        cn_tensor x = cn_tensor_view(CN_DTYPE_F32, 4, part, (float *)X->data + (size_t)i * from);
        status = cn_session_forward(session, &x, err);
        if (status == CN_OK)
            memcpy((float *)Y->data + (size_t)i * to, cn_session_output(session).data,
                   (size_t)m * to * sizeof(float));
    }
    cn_session_free(session);
    if (status != CN_OK) cn_tensor_free(Y);
    return status;
}
