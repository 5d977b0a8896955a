/*
 * tta.c - test-time augmentation: outputs averaged over several views of each image.
 *
 * Averaged are the logits z. A model that ends in a softmax has them as z = log y_hat, but for a
 * constant an image that the softmax takes away again; one that ends in a sigmoid as
 * z = log(y_hat / (1 - y_hat)). The outputs of any other are averaged as they are.
 */
#include "augment/tta.h"

#include "augment/augment.h"
#include "base/math.h"
#include "base/pixels.h"
#include "data/dataset.h"
#include "model/session.h"

#include <math.h>
#include <string.h>

/* A smaller probability counts as this one. */
static const double TINY = 1e-30;

/* Moves are by one pixel, up and left, down and right, and look at the mirrored border. */
static const cn_view views[] = {
    {0, 0, false, 0.25},   {0, 0, true, 0.25},   {-1, -1, false, 0.125},
    {-1, -1, true, 0.125}, {1, 1, false, 0.125}, {1, 1, true, 0.125},
};

int cn_tta_views(cn_tta tta)
{
    return tta == CN_TTA_MIRROR ? 2 : tta == CN_TTA_SHIFT ? 6 : 1;
}

cn_view cn_tta_view(cn_tta tta, int i)
{
    cn_view view = views[i];
    if (tta != CN_TTA_SHIFT) view.weight = 1.0 / cn_tta_views(tta);
    return view;
}

void cn_tta_look(const cn_dataset *data, const cn_view *view, const void *images, int m,
                 const float *mean, const float *std, void *moved, float *x)
{
    const cn_tensor *all = cn_dataset_images(data);
    cn_crop crop = {.rows = all->shape[1],
                    .columns = all->shape[2],
                    .pixel = (size_t)all->shape[3] * cn_dtype_size(all->dtype),
                    .border = CN_BORDER_REFLECT,
                    .down = view->down,
                    .right = view->right,
                    .flip = view->flip};
    const size_t bytes = (size_t)crop.rows * (size_t)crop.columns * crop.pixel;
    const char *from = images;
    for (size_t i = 0; i < (size_t)m; i++)
        cn_crop_image(&crop, from + i * bytes, (char *)moved + i * bytes);
    cn_tensor seen = *all;
    seen.data = moved;
    cn_pixels_normalize(&seen, cn_dataset_scale(data), NULL, m, mean, std, x);
}

/* ---- averaging */

void cn_tta_add(const cn_model *model, size_t n, const float *y, double weight, double *sum)
{
    const cn_loss_kind loss = model->layers[model->output].type->loss;
    for (size_t i = 0; i < n; i++) {
        double z = y[i];
        if (loss == CN_LOSS_CROSS_ENTROPY)
            z = cn_log(fmax(z, TINY));
        else if (loss == CN_LOSS_BINARY_CROSS_ENTROPY)
            z = cn_log(fmax(z, TINY)) - cn_log(fmax(1 - z, TINY));
        sum[i] += weight * z;
    }
}

static void softmax(size_t columns, const double *z, float *y)
{
    double largest = z[0], total = 0;
    for (size_t j = 1; j < columns; j++) largest = fmax(largest, z[j]);
    for (size_t j = 0; j < columns; j++) total += cn_exp(z[j] - largest);
    for (size_t j = 0; j < columns; j++) y[j] = (float)(cn_exp(z[j] - largest) / total);
}

void cn_tta_finish(const cn_model *model, size_t n, const double *sum, float *y)
{
    const cn_layer *output = &model->layers[model->output];
    const size_t columns = (size_t)output->out.n[output->out.rank - 1];
    if (output->type->loss == CN_LOSS_CROSS_ENTROPY) {
        for (size_t i = 0; i < n; i += columns) softmax(columns, sum + i, y + i);
        return;
    }
    bool sigmoid = output->type->loss == CN_LOSS_BINARY_CROSS_ENTROPY;
    for (size_t i = 0; i < n; i++) y[i] = (float)(sigmoid ? 1 / (1 + cn_exp(-sum[i])) : sum[i]);
}

/* By the formulas of src/layers/loss.c, from the outputs: there are no logits that they came from.
 */
double cn_tta_loss(const cn_model *model, cn_loss_kind loss, int m, const float *y,
                   const int32_t *labels)
{
    const int n = cn_model_output_size(model);
    const bool softmax_last = model->layers[model->output].type->loss == CN_LOSS_CROSS_ENTROPY;
    double sum = 0;
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            double hat = *y++, truth = n == 1 ? labels[i] : j == labels[i];
            double right = truth != 0 ? hat : 1 - hat;
            if (loss == CN_LOSS_CROSS_ENTROPY)
                sum -= truth * cn_log(fmax(hat, TINY));
            else if (loss == CN_LOSS_FOCAL && softmax_last)
                sum -= truth * (1 - hat) * (1 - hat) * cn_log(fmax(hat, TINY));
            else if (loss == CN_LOSS_FOCAL)
                sum -= (1 - right) * (1 - right) * cn_log(fmax(right, TINY)) / n;
            else if (loss == CN_LOSS_DICE) /* of a single pixel */
                sum += 1.0 / n - (2 * hat * truth + 1) / (hat + truth + 1) / n;
            else if (loss == CN_LOSS_BINARY_CROSS_ENTROPY)
                sum -= cn_log(fmax(right, TINY)) / n;
            else
                sum += (hat - truth) * (hat - truth) / n;
        }
    }
    return sum / m;
}
