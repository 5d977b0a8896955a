/* prepare.c - an image file, or an image in memory, made what a model takes. */
#include "base/pixels.h"
#include "formats/image.h"
#include "model/model.h"

/* What a view sees of an image, as the model takes it. */
static cn_status prepare(const cn_model *model, const cn_tensor *image, const cn_image_view *view,
                         cn_tensor *X, cn_error *err)
{
    cn_tensor fitted = {0};
    const int *shape = cn_model_input_shape(model);
    cn_status status = view ? cn_image_fit_view(image, view, shape, &model->images, &fitted, err)
                            : cn_image_fit(image, shape, &model->images, &fitted, err);
    if (status != CN_OK) return status;
    size_t channels = (size_t)shape[2];
    float *mean = cn_allocate(2 * channels, sizeof *mean, "image_prepare", err);
    status = mean ? cn_tensor_output(X, CN_DTYPE_F32, 4, fitted.shape, "image_prepare", err)
                  : CN_ERR_MEMORY;
    if (status == CN_OK) {
        cn_model_normalization(model, 0, 1, mean, mean + channels);
        cn_pixels_normalize(&fitted, fitted.dtype == CN_DTYPE_U8 ? 1.0f / 255.0f : 1.0f, NULL, 1,
                            mean, mean + channels, X->data);
    }
    cn_release(mean);
    cn_tensor_free(&fitted);
    return status;
}

cn_status cn_image_prepare(const cn_model *model, const cn_tensor *image, cn_tensor *X,
                           cn_error *err)
{
    if (!model || !image || !X)
        return cn_fail(err, CN_ERR_ARGUMENT, "image_prepare: NULL argument");
    if (model->input_ports > 1) return cn_model_expect_single(model, "image_prepare", err);
    return prepare(model, image, NULL, X, err);
}

cn_status cn_image_load_for(const cn_model *model, const char *path, cn_tensor *X, cn_error *err)
{
    cn_tensor image = {0};
    cn_image_view view;
    if (!model || !path || !X)
        return cn_fail(err, CN_ERR_ARGUMENT, "image_load_for: NULL argument");
    if (model->input_ports > 1) return cn_model_expect_single(model, path, err);
    const int *shape = cn_model_input_shape(model);
    cn_image_aim aim = {.n_H = shape[0], .n_W = shape[1], .opts = &model->images};
    cn_status status = cn_image_read_for(&image, &view, path, &aim, err);
    if (status == CN_OK) status = cn_image_check_channels(&image, shape[2], path, err);
    if (status == CN_OK) status = prepare(model, &image, &view, X, err);
    cn_tensor_free(&image);
    return status;
}
