/* image_sets.h - loads a set of image files, for tests of folders and of tables. */
#ifndef TEST_IMAGE_SETS_H
#define TEST_IMAGE_SETS_H

#include <math.h>

#include "convnet.h"
#include "trees.h"

static inline cn_status load(cn_dataset **data, const char *kind, const char *path,
                             const char *options, cn_subset split, cn_error *err)
{
    char spec[3 * FILES_PATH];
    snprintf(spec, sizeof spec, "%s%s%s", kind, path, options);
    return cn_dataset_load(data, spec, split, NULL, err);
}

static inline cn_dataset *expect_set(const char *kind, const char *path, const char *options,
                                     cn_subset split)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    if (load(&data, kind, path, options, split, &err) != CN_OK)
        fail_msg("%s%s%s: %s", kind, path, options, err.text);
    return data;
}

static inline void expect_failure(const char *kind, const char *path, const char *options,
                                  cn_status status, const char *part)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    assert_int_equal(load(&data, kind, path, options, CN_SUBSET_TRAIN, &err), status);
    assert_null(data);
    assert_says(err, part);
}

#define assert_close(a, b, tolerance) assert_true(fabs((double)(a) - (double)(b)) <= tolerance)

/* The value of the first pixel of image i, of 255. */
static inline double first_pixel(const cn_dataset *data, int i)
{
    static float x[4096];
    int32_t label;
    cn_dataset_batch(data, &i, 1, NULL, NULL, x, &label, NULL);
    return (double)x[0] * 255;
}

#endif
