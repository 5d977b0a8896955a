/* numbers.c - arrays of floats in files, and what a model makes of them. */
#include "numbers.h"

#include "base/sink.h"
#include "formats/channels_first.h"
#include "formats/npy.h"
#include "formats/npz_save.h"

#include <string.h>

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

/* Is the array (m, ...) of the model's images, in this layout? */
static bool has_shape(const cn_array_about *about, const cn_model *model, cli_layout layout)
{
    const int *n = cn_model_input_shape(model);
    const int first[3] = {n[2], n[0], n[1]};
    return about->rank == 4 &&
           memcmp(about->shape + 1, layout == CLI_NCHW ? first : n, 3 * sizeof *n) == 0;
}

static cn_status refuse(const cn_array_about *about, const cn_model *model, const char *path,
                        cli_layout layout, cn_error *err)
{
    char found[CN_SHAPE_TEXT];
    const int *n = cn_model_input_shape(model);
    const bool other = has_shape(about, model, layout == CLI_NCHW ? CLI_NHWC : CLI_NCHW);
    return cn_fail(err, CN_ERR_SHAPE, "%.100s: shape %s, expected (m, %d, %d, %d)%s", path,
                   cn_shape_text(about->rank, about->shape, found), n[layout == CLI_NCHW ? 2 : 0],
                   n[layout == CLI_NCHW ? 0 : 1], n[layout == CLI_NCHW ? 1 : 2],
                   !other               ? ""
                   : layout == CLI_NCHW ? ": it is --layout nhwc"
                                        : ": it is --layout nchw");
}

static cn_status make_floats(cn_tensor *X, const cn_array *array, cn_error *err)
{
    cn_status status =
        cn_tensor_create(X, CN_DTYPE_F32, array->about.rank, array->about.shape, err);
    if (status != CN_OK) return status;
    float *x = X->data;
    for (size_t i = 0; i < cn_tensor_count(X); i++) x[i] = (float)cn_array_value(array, i);
    return CN_OK;
}

cn_status cli_numbers_load(cn_tensor *X, const cn_model *model, const char *path, cli_layout layout,
                           cn_error *err)
{
    cn_source *source = NULL;
    cn_array array = {.data = NULL};
    cn_tensor t = {0};
    cn_status status = cn_source_open(&source, path, CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_npy_read(source, "input", &array, err);
    cn_source_close(source);
    if (status == CN_OK && !has_shape(&array.about, model, layout))
        status = refuse(&array.about, model, path, layout, err);
    if (status == CN_OK) status = make_floats(&t, &array, err);
    cn_release(array.data);
    if (status == CN_OK && layout == CLI_NCHW) status = reorder(&t, false, err);
    if (status == CN_OK)
        *X = t;
    else
        cn_tensor_free(&t);
    return status;
}

/* As .npz, where the path ends so, under the name. */
static cn_status save_array(const cn_tensor *t, const char *name, const char *path, cn_error *err)
{
    const size_t length = strlen(path);
    if (length > 4 && strcmp(path + length - 4, ".npz") == 0)
        return cn_npz_save(&(cn_named_tensor){name, *t}, 1, path, err);
    cn_sink *sink = NULL;
    cn_status status = cn_sink_open(&sink, path, err);
    if (status == CN_OK) status = cn_npy_write(sink, t, err);
    if (status == CN_OK) status = cn_sink_commit(sink, err);
    cn_sink_close(sink);
    return status;
}

cn_status cli_numbers_save(const cn_tensor *Y, const char *name, const char *path,
                           cli_layout layout, cn_error *err)
{
    cn_tensor t = {0};
    if (layout == CLI_NHWC || Y->rank != 4) return save_array(Y, name, path, err);
    cn_status status = cn_tensor_create(&t, CN_DTYPE_F32, Y->rank, Y->shape, err);
    if (status == CN_OK) {
        memcpy(t.data, Y->data, cn_tensor_count(Y) * sizeof(float));
        status = reorder(&t, true, err);
    }
    if (status == CN_OK) status = save_array(&t, name, path, err);
    cn_tensor_free(&t);
    return status;
}

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
