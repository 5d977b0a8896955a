/*
 * digits.c - the embedded handwriting: 1,797 digits of 8 x 8, values 0 to 16.
 *
 * E. Alpaydin and C. Kaynak: Optical Recognition of Handwritten Digits, UCI Machine Learning
 * Repository, 1998, CC BY 4.0 (data/digits/README.md).
 */
#include "data/digits.h"
#include "data/dataset.h"
#include "formats/idx.h"

#include <string.h>

enum { INK = 16, TEST_EVERY = 5 };

static cn_status read_embedded(cn_tensor *t, const char *name, const unsigned char *bytes,
                               size_t size, cn_error *err)
{
    cn_source *source = NULL;
    cn_status status = cn_source_memory(&source, name, bytes, size, CN_SOURCE_UNPACK, err);
    if (status == CN_OK) status = cn_idx_read(source, t, err);
    cn_source_close(source);
    return status;
}

static bool is_test(int i)
{
    return i % TEST_EVERY == TEST_EVERY - 1;
}

/* Keeps the pictures and labels of one split. */
static cn_status choose(const cn_tensor *pictures, const cn_tensor *digits, cn_split split,
                        cn_dataset_parts *parts, cn_error *err)
{
    int all = pictures->shape[0], test = all / TEST_EVERY, kept = 0;
    int shape[4] = {split == CN_TEST ? test : all - test, pictures->shape[1], pictures->shape[2],
                    1};
    size_t size = (size_t)shape[1] * (size_t)shape[2];
    cn_status status = cn_tensor_create(&parts->images, CN_U8, 4, shape, err);
    if (status == CN_OK) status = cn_tensor_create(&parts->labels, CN_I32, 1, shape, err);
    if (status != CN_OK) return status;
    for (int i = 0; i < all; i++) {
        if (is_test(i) != (split == CN_TEST)) continue;
        memcpy((uint8_t *)parts->images.data + (size_t)kept * size,
               (const uint8_t *)pictures->data + (size_t)i * size, size);
        ((int32_t *)parts->labels.data)[kept++] = ((const uint8_t *)digits->data)[i];
    }
    return CN_OK;
}

static cn_status load(cn_dataset **data, const char *path, cn_split split, cn_error *err)
{
    cn_tensor pictures = {0}, digits = {0};
    cn_dataset_parts parts = {.classes = 10, .scale = 1.0f / INK};
    if (path[0])
        return cn_fail(err, CN_ERR_ARGUMENT, "digits: is embedded and takes no path, found %.80s",
                       path);
    cn_status status =
        read_embedded(&pictures, "digits: images", cn_digits_images, cn_digits_images_size, err);
    if (status == CN_OK)
        status =
            read_embedded(&digits, "digits: labels", cn_digits_labels, cn_digits_labels_size, err);
    if (status == CN_OK) status = choose(&pictures, &digits, split, &parts, err);
    if (status == CN_OK) status = cn_dataset_adopt(data, &parts, "digits", err);
    cn_tensor_free(&pictures);
    cn_tensor_free(&digits);
    cn_tensor_free(&parts.images);
    cn_tensor_free(&parts.labels);
    return status;
}

const cn_reader cn_reader_digits = {
    .name = "digits",
    .usage = "digits",
    .load = load,
};
