/*
 * test_npz_damage.c - a model in NumPy's .npz, cut off at every byte, and with every single bit turned:
 * an error that names the file, or the very model. (Its parameters have a CRC-32 each; what has none
 * are fields that nobody needs, such as a date.)
 */
#include "convnet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "files.h"

static char folder[FILES_PATH], path[FILES_PATH];
static uint8_t *bytes;
static size_t size;
static cn_model *model;

static int set_up(void **state)
{
    cn_error err;
    (void)state;
    files_make_folder(folder);
    files_join(path, folder, "model.npz");
    if (cn_model_parse(&model, "dense 2", (int[]){1, 2, 1}, 2, 1, &err) != CN_OK ||
        cn_model_export(model, path, NULL, &err) != CN_OK)
        fail_msg("%s", err.text);
    bytes = files_read(path, &size);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    free(bytes);
    cn_model_free(model);
    files_remove_folder(folder);
    return 0;
}

/* Loads what is now in `bytes`; true where that is a model, which then must be ours. */
static bool load(size_t length)
{
    cn_model *found = NULL;
    cn_parameter p, q;
    cn_error err = {CN_OK, ""};
    files_write(path, bytes, length);
    if (cn_model_load(&found, path, &err) != CN_OK) {
        assert_null(found);
        assert_int_not_equal(err.status, CN_OK);
        assert_says(err, "model.npz");
        return false;
    }
    for (int k = 0; cn_model_parameter(model, k, &p); k++) {
        assert_true(cn_model_parameter(found, k, &q));
        assert_string_equal(p.name, q.name);
        assert_int_equal(cn_tensor_count(&p.value), cn_tensor_count(&q.value));
        assert_memory_equal(p.value.data, q.value.data, cn_tensor_count(&p.value) * sizeof(float));
    }
    cn_model_free(found);
    return true;
}

static void a_part_of_the_file_is_an_error(void **state)
{
    (void)state;
    assert_true(load(size));
    for (size_t length = 0; length < size; length++)
        if (load(length)) fail_msg("%zu of %zu bytes are taken for a model", length, size);
}

static void a_turned_bit_is_an_error_or_changes_nothing(void **state)
{
    size_t harmless = 0;
    (void)state;
    for (size_t bit = 0; bit < 8 * size; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        harmless += load(size);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(harmless > 0 && harmless < 2 * size); /* of 8 size bits */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_of_the_file_is_an_error),
        cmocka_unit_test(a_turned_bit_is_an_error_or_changes_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
