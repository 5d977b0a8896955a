/*
 * segment.c - the class of each pixel of an image of any size.
 *
 * The image is brought to the model's size, and the model's outputs y (n_H, n_W, classes) back to
 * the image's: its pixel (r, c), counted in the part that the model has seen, of height x width,
 * looks at
 *
 *     u = (r + 1/2) n_H / height - 1/2    v = (c + 1/2) n_W / width - 1/2
 *
 * between the four outputs around it (bilinear; held at the edges), and its class is the largest.
 */
#include "data/dataset.h"
#include "formats/image.h"
#include "model/model.h"
#include "model/session.h"

/* Where a pixel of an axis looks: between outputs i and j, the part t of the way. */
typedef struct place {
    int i, j;
    float t;
} place;

static place find_place(int pixel, int pixels, int outputs)
{
    double x = (pixel + 0.5) * outputs / pixels - 0.5;
    if (x < 0) x = 0;
    if (x > outputs - 1) x = outputs - 1;
    int i = (int)x;
    return (place){i, i + 1 < outputs ? i + 1 : i, (float)(x - i)};
}

/* The largest of the classes' interpolated outputs; of a single output, whether it exceeds 1/2. */
static int class_at(const float *y, const int *shape, place row, place column)
{
    const size_t width = (size_t)shape[1], n = (size_t)shape[2];
    const float *a = y + ((size_t)row.i * width + (size_t)column.i) * n;
    const float *b = y + ((size_t)row.i * width + (size_t)column.j) * n;
    const float *c = y + ((size_t)row.j * width + (size_t)column.i) * n;
    const float *d = y + ((size_t)row.j * width + (size_t)column.j) * n;
    int best = 0;
    float most = 0.5F;
    for (size_t k = 0; k < n; k++) {
        float above = (1 - column.t) * a[k] + column.t * b[k];
        float below = (1 - column.t) * c[k] + column.t * d[k];
        float value = (1 - row.t) * above + row.t * below;
        if (n == 1) return value > most;
        if (k > 0 && !(value > most)) continue;
        most = value;
        best = (int)k;
    }
    return best;
}

static void fill_mask(cn_tensor *mask, const cn_image_part *part, const float *y, const int *shape)
{
    uint8_t *out = mask->data;
    for (int r = 0; r < mask->shape[0]; r++)
        for (int c = 0; c < mask->shape[1]; c++) {
            bool inside = r >= part->top && r < part->top + part->height && c >= part->left &&
                          c < part->left + part->width;
            *out = CN_MASK_IGNORED;
            if (inside)
                *out =
                    (uint8_t)class_at(y, shape, find_place(r - part->top, part->height, shape[0]),
                                      find_place(c - part->left, part->width, shape[1]));
            out++;
        }
}

cn_status cn_session_segment(cn_session *session, const cn_tensor *image, cn_tensor *mask,
                             cn_error *err)
{
    cn_tensor X = {0}, Y = {0};
    int rank;
    if (!session || !image || !mask) return cn_fail(err, CN_ERR_ARGUMENT, "segment: NULL argument");
    const cn_model *model = cn_session_model(session);
    const int *in = cn_model_input_shape(model), *out = cn_model_output_shape(model, &rank);
    if (rank != 3 || out[2] > CN_MASK_IGNORED)
        return cn_fail(err, CN_ERR_SHAPE,
                       "segment: the model has no class for each pixel: expected an output (n_H, "
                       "n_W, classes) of up to %d classes",
                       (int)CN_MASK_IGNORED);
    cn_status status = cn_image_prepare(model, image, &X, err);
    if (status == CN_OK) status = cn_session_predict(session, &X, &Y, err);
    if (status == CN_OK)
        status = cn_tensor_output(mask, CN_DTYPE_U8, 2, image->shape, "segment", err);
    if (status == CN_OK) {
        cn_image_opts opts = cn_model_image_opts(model);
        cn_image_part part =
            cn_image_fit_part(image->shape[0], image->shape[1], in[0], in[1], &opts);
        fill_mask(mask, &part, Y.data, out);
    }
    cn_tensor_free(&X);
    cn_tensor_free(&Y);
    return status;
}
