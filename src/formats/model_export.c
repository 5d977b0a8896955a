/* model_export.c - which writer a model's new file gets, by the ending of its name. */
#include "formats/keras_export.h"
#include "formats/model_file.h"
#include "formats/npz_save.h"
#include "formats/onnx_export.h"
#include "formats/weights.h"

#include <string.h>

typedef struct writer {
    const char *ending;
    cn_status (*write)(const cn_model *model, const char *path, const cn_export_opts *opts,
                       cn_error *err);
} writer;

static cn_status write_onnx(const cn_model *model, const char *path, const cn_export_opts *opts,
                            cn_error *err)
{
    return cn_onnx_save(model, path, opts->normalize, err);
}

static cn_status write_weights(const cn_model *model, const char *path, const cn_export_opts *opts,
                               cn_error *err)
{
    if (opts->like) return cn_weights_save(model, opts->like, path, CN_WEIGHTS_SAFETENSORS, err);
    return cn_model_save(model, path, err);
}

static cn_status write_hdf5(const cn_model *model, const char *path, const cn_export_opts *opts,
                            cn_error *err)
{
    if (opts->like) return cn_weights_save(model, opts->like, path, CN_WEIGHTS_HDF5, err);
    if (cn_ends_in(path, ".weights.h5")) return cn_keras_weights_save(model, path, err);
    return cn_fail(err, CN_ERR_ARGUMENT,
                   "%.120s: a whole model for Keras is a .keras file, and its weights alone are a "
                   ".weights.h5 file; another .h5 file is written like one of the same network",
                   path);
}

static cn_status write_keras(const cn_model *model, const char *path, const cn_export_opts *opts,
                             cn_error *err)
{
    if (opts->like)
        return cn_fail(err, CN_ERR_ARGUMENT, "%.120s: a .keras file is written like no other file",
                       path);
    cn_status status = cn_model_expect_single(model, path, err);
    return status == CN_OK ? cn_keras_save(model, path, err) : status;
}

/* The parameters, and as the array "convnet" the graph. */
static cn_status write_npz(const cn_model *model, const char *path, const cn_export_opts *opts,
                           cn_error *err)
{
    const size_t count = (size_t)model->parameter_count;
    cn_status status = CN_ERR_MEMORY;
    if (opts->like) return cn_weights_save(model, opts->like, path, CN_WEIGHTS_NPZ, err);
    cn_named_tensor *tensors = cn_allocate(count + 1, sizeof *tensors, path, err);
    char *text = cn_model_graph_text(model, err);
    if (tensors && text) {
        for (size_t i = 0; i < count; i++)
            tensors[i] = (cn_named_tensor){model->parameters[i].name, model->parameters[i].value};
        const int length = (int)strlen(text);
        tensors[count].name = "convnet";
        tensors[count].value = cn_tensor_view(CN_DTYPE_U8, 1, &length, text);
        status = cn_npz_save(tensors, (int)count + 1, path, err);
    }
    cn_release(tensors);
    cn_release(text);
    return status;
}

static const writer writers[] = {
    {".safetensors", write_weights}, {".npz", write_npz},   {".h5", write_hdf5},
    {".keras", write_keras},         {".onnx", write_onnx},
};

cn_status cn_model_export(const cn_model *model, const char *path, const cn_export_opts *opts,
                          cn_error *err)
{
    static const cn_export_opts usual;
    if (!model || !path) return cn_fail(err, CN_ERR_ARGUMENT, "model_export: NULL argument");
    if (!model->finished || model->shape_only)
        return cn_fail(err, CN_ERR_ARGUMENT, "model_export: the model is not finished");
    const cn_export_opts *o = opts ? opts : &usual;
    if (o->normalize && !cn_ends_in(path, ".onnx"))
        return cn_fail(err, CN_ERR_ARGUMENT, "%.120s: only ONNX normalizes in the graph", path);
    if (o->like && cn_ends_in(path, ".onnx"))
        return cn_fail(err, CN_ERR_ARGUMENT, "%.120s: ONNX is written like no other file", path);
    for (size_t i = 0; i < sizeof writers / sizeof *writers; i++)
        if (cn_ends_in(path, writers[i].ending)) return writers[i].write(model, path, o, err);
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%.120s: a model is not written in this format; expected a name that ends in "
                   ".safetensors, .npz, .keras, .h5 or .onnx",
                   path);
}
