/*
 * digits.c - the embedded handwriting: 1,797 digits of 8 x 8, values 0 to 16.
 * Every fifth is for testing.
 *
 * E. Alpaydin and C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning
 * Repository, 1998, CC BY 4.0 (data/digits/README.md).
 */
#include "data/digits.h"
#include "data/dataset.h"
#include "formats/idx.h"

enum { INK = 16 };

static cn_status read_embedded(cn_tensor *t, const char *name, const unsigned char *bytes,
                               size_t size, cn_error *err)
{
    cn_source *source = NULL;
    cn_status status = cn_source_memory(&source, name, bytes, size, CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_idx_read(source, t, err);
    cn_source_close(source);
    return status;
}

static cn_status load(cn_dataset **data, const char *path, const cn_request *request, cn_error *err)
{
    cn_tensor digits = {0};
    cn_dataset *all = NULL;
    cn_dataset_parts parts = {.classes = 10, .scale = 1.0f / INK};
    if (path[0])
        return cn_fail(err, CN_ERR_ARGUMENT, "digits: is embedded and takes no path, found %.80s",
                       path);
    cn_status status = read_embedded(&parts.images, "digits: images", cn_digits_images,
                                     cn_digits_images_size, err);
    if (status == CN_OK)
        status =
            read_embedded(&digits, "digits: labels", cn_digits_labels, cn_digits_labels_size, err);
    if (status == CN_OK)
        status = cn_tensor_create(&parts.labels, CN_DTYPE_I32, 1, digits.shape, err);
    if (status == CN_OK) {
        parts.images.shape[parts.images.rank++] = 1; /* the channel */
        for (int i = 0; i < digits.shape[0]; i++)
            ((int32_t *)parts.labels.data)[i] = ((const uint8_t *)digits.data)[i];
        status = cn_dataset_adopt(&all, &parts, "digits", err);
    }
    const int counts[CN_PARTS] = {all ? cn_dataset_size(all) : 0};
    if (status == CN_OK)
        status = cn_dataset_part(data, all, counts, request->split, CN_SUBSET_TRAIN, err);
    cn_dataset_free(all);
    cn_tensor_free(&digits);
    cn_tensor_free(&parts.images);
    cn_tensor_free(&parts.labels);
    return status;
}

const cn_reader cn_reader_digits = {
    .name = "digits",
    .usage = "digits",
    .two_parts = true,
    .load = load,
};
