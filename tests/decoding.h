/* decoding.h - bytes of image files decoded, true and damaged. */
#ifndef TEST_DECODING_H
#define TEST_DECODING_H

#include "files.h"
#include "formats/image.h"

static inline cn_status decode(cn_tensor *t, const void *bytes, size_t size, cn_error *err)
{
    uint8_t *exact = files_exact(bytes, size);
    cn_status status = cn_image_decode(t, "seed", exact, size, CN_IMAGE_BYTES, err);
    free(exact);
    return status;
}

static inline void expect_image(const void *bytes, size_t size, const int *shape,
                                const uint8_t *pixels)
{
    cn_tensor t = {0};
    cn_error err = {CN_OK, ""};
    if (decode(&t, bytes, size, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(t.dtype, CN_DTYPE_U8);
    assert_int_equal(t.rank, 3);
    assert_memory_equal(t.shape, shape, 3 * sizeof *shape);
    assert_memory_equal(t.data, pixels, cn_tensor_count(&t));
    cn_tensor_free(&t);
}

static inline void expect_failure(const void *bytes, size_t size, cn_status status,
                                  const char *part)
{
    cn_tensor t = {0};
    cn_error err = {CN_OK, ""};
    assert_int_equal(decode(&t, bytes, size, &err), status);
    assert_null(t.data);
    assert_says(err, "seed");
    assert_says(err, part);
}

/* Cut or with a bit flipped, an image is an error or some other image, never a crash. */
static inline void survive_damage(const uint8_t *bytes, size_t size, size_t flipped)
{
    cn_tensor t = {0};
    uint8_t *bad = malloc(size);
    assert_non_null(bad);
    memcpy(bad, bytes, size);
    for (size_t cut = 0; cut < size; cut++) {
        if (decode(&t, bytes, cut, NULL) == CN_OK) assert_non_null(t.data);
        cn_tensor_free(&t);
    }
    for (size_t bit = 0; bit < 8 * flipped; bit++) {
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
        if (decode(&t, bad, size, NULL) == CN_OK) assert_int_equal(t.rank, 3);
        cn_tensor_free(&t);
        bad[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(bad);
}

/* Without its last bytes, however many, it is an error that names the file, and why. */
static inline void refuse_cut(const uint8_t *bytes, size_t size)
{
    for (size_t cut = 0; cut < size; cut++) {
        cn_tensor t = {0};
        cn_error err = {CN_OK, ""};
        if (decode(&t, bytes, cut, &err) == CN_OK) fail_msg("cut at %zu of %zu", cut, size);
        assert_null(t.data);
        assert_says(err, "seed");
    }
}

/* What a file's header says of it is what decoding finds; it may lie where it wants. */
static inline void expect_form(const void *bytes, size_t size, const char *name, int rows,
                               int columns, bool color, bool deep, int channels)
{
    char folder[FILES_PATH], path[FILES_PATH];
    cn_image_form form = {.rows = -1};
    files_make_folder(folder);
    files_write(files_join(path, folder, name), bytes, size);
    assert_true(cn_image_find_form(&form, path));
    assert_int_equal(form.rows, rows);
    assert_int_equal(form.columns, columns);
    assert_int_equal(form.color, color);
    assert_int_equal(form.deep, deep);
    assert_int_equal(form.channels, channels);
    for (size_t cut = size; cut > 0;
         cut -= cut < 64 ? 1 : cut / 16) { /* no harm, whatever it says */
        assert_int_equal(truncate(path, (off_t)cut - 1), 0);
        cn_image_find_form(&form, path);
    }
    files_remove_folder(folder);
}

#endif
