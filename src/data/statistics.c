/* statistics.c - what is counted over a set: mean and deviation, the ends of its values, how often each
 * class is there. */
#include "data/dataset.h"

#include <math.h>

void cn_dataset_statistics(const cn_dataset *data, float *mean, float *std)
{
    const int size = cn_dataset_size(data), *shape = cn_dataset_shape(data);
    const double pixels = (double)shape[0] * shape[1];
    const double scale = (double)cn_dataset_scale(data);
    for (int c = 0; c < shape[2]; c++) {
        double sum = 0, squares = 0, origin = 0;
        for (int i = 0; i < size; i++) { /* v - origin = (v - m.origin) + d */
            cn_moments m = cn_dataset_moments(data, i, c);
            if (i == 0) origin = (double)m.origin;
            double d = (double)m.origin - origin;
            sum += m.sum + pixels * d;
            squares += m.squares + 2 * d * m.sum + pixels * d * d;
        }
        double m = sum / (pixels * size), variance = squares / (pixels * size) - m * m;
        mean[c] = (float)((origin + m) * scale);
        std[c] = variance > 0 ? (float)(sqrt(variance) * scale) : 1.0f;
    }
}

void cn_dataset_ends(const cn_dataset *data, double *least, double *most)
{
    const int *shape = cn_dataset_shape(data);
    for (int i = 0; i < cn_dataset_size(data); i++)
        for (int c = 0; c < shape[2]; c++) {
            cn_moments m = cn_dataset_moments(data, i, c);
            if ((i == 0 && c == 0) || (double)m.least < *least) *least = (double)m.least;
            if ((i == 0 && c == 0) || (double)m.most > *most) *most = (double)m.most;
        }
}

/* Pixels of each class. A mask that can no longer be read counts nothing here: the training that asks
 * for the weights is going to read it, too, and ends with its name. */
static void count_pixels(const cn_dataset *data, double counts[CN_MASK_IGNORED + 1])
{
    const size_t size = cn_dataset_label_size(data);
    uint8_t *room = cn_allocate(size, 1, "masks", NULL);
    const uint8_t *mask;
    for (int i = 0; room && i < cn_dataset_size(data); i++)
        if (cn_dataset_mask(data, i, room, &mask, NULL) == CN_OK)
            for (size_t k = 0; k < size; k++) counts[mask[k]]++;
    cn_release(room);
}

void cn_dataset_class_weights(const cn_dataset *data, float *weights)
{
    int classes = cn_dataset_classes(data);
    bool pixels = cn_dataset_masks(data) != NULL;
    double counts[CN_MASK_IGNORED + 1] = {0}, n = 0;
    for (int c = 0; c < classes; c++) weights[c] = cn_dataset_targets(data) ? 1 : 0;
    if (cn_dataset_targets(data)) return;
    if (pixels) count_pixels(data, counts);
    /* Images count in the weights first, which a float does exactly up to 2^24. */
    for (int i = 0; !pixels && i < cn_dataset_size(data); i++)
        weights[cn_dataset_label(data, i)] += 1;
    for (int c = 0; pixels && c < classes; c++) n += counts[c];
    if (!pixels) n = cn_dataset_size(data);
    for (int c = 0; c < classes; c++) {
        double count = pixels ? counts[c] : (double)weights[c];
        if (count > 0) weights[c] = (float)(n / ((double)classes * count));
    }
}
