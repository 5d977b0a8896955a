/* Sets of image files: folders of classes, and what becomes of their images. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convnet.h"
#include "formats/image.h"
#include "image_sets.h"

#ifdef CONVNET_HAVE_PNG
#include <png.h>
#endif

/* ---- Folders */

static void a_sub_folder_is_a_class(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_gray(folder, "zebra/1.PGM", 2, 3, 40);
    for (int i = 0; i < 4; i++) {
        char name[32];
        snprintf(name, sizeof name, "ant/%d.pgm", 9 - i); /* written from the last to the first */
        put_gray(folder, name, 2, 3, 9 - i);
    }
    put_text(folder, "ant/notes.txt", "no image");
    put_text(folder, "notes.txt", "no class");
    put_text(folder, ".hidden/1.pgm", "no class either");
    for (int by_name = 0; by_name < 2; by_name++) {
        cn_dataset *train = expect_set(by_name ? "folder:" : "", folder, "", CN_SUBSET_TRAIN);
        cn_dataset *test = expect_set(by_name ? "folder:" : "", folder, "", CN_SUBSET_TEST);
        assert_int_equal(cn_dataset_size(train), 4);
        assert_int_equal(cn_dataset_size(test), 1);
        assert_int_equal(cn_dataset_classes(test), 2);
        assert_string_equal(cn_dataset_class_name(train, 0), "ant");
        assert_string_equal(cn_dataset_class_name(train, 1), "zebra");
        assert_memory_equal(cn_dataset_shape(train), ((int[]){2, 3, 1}), 12);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(cn_dataset_label(train, i), 0);
            assert_true(fabs(first_pixel(train, i) - 6 - i) < 1e-4);
        }
        assert_int_equal(cn_dataset_label(test, 0), 1);
        assert_close(first_pixel(test, 0), 40, 1e-4);
        cn_dataset_free(train);
        cn_dataset_free(test);
    }
    remove_tree(folder);
}

static void splits_may_be_folders(void **state)
{
    (void)state;
    const char *tests[] = {"test", "val", "valid", "validation"};
    for (int i = 0; i < 4; i++) {
        char folder[FILES_PATH], name[64];
        files_make_folder(folder);
        put_gray(folder, "train/a/1.pgm", 1, 1, 1);
        put_gray(folder, "train/b/1.pgm", 1, 1, 2);
        snprintf(name, sizeof name, "%s/b/1.pgm", tests[i]);
        put_gray(folder, name, 4, 4, 3);
        cn_dataset *train = expect_set("", folder, "", CN_SUBSET_TRAIN);
        cn_dataset *test = expect_set("folder:", folder, "", CN_SUBSET_TEST);
        assert_int_equal(cn_dataset_size(train), 2);
        assert_int_equal(cn_dataset_size(test), 1);
        assert_int_equal(cn_dataset_classes(test), 2);
        assert_int_equal(cn_dataset_label(test, 0), 1);
        assert_memory_equal(cn_dataset_shape(test), ((int[]){1, 1, 1}), 12);
        cn_dataset_free(train);
        cn_dataset_free(test);
        snprintf(name, sizeof name, "%s/c/1.pgm", tests[i]);
        put_gray(folder, name, 1, 1, 3);
        expect_failure("folder:", folder, "", CN_ERR_FORMAT, "c is no class to train on");
        remove_tree(folder);
    }
}

/* Columns 0 to 5 of a wide image: what a square is cut out of are columns 2 and 3. */
static void images_are_cropped_and_resized(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    const char color[] = "P3 1 1 255 255 0 0 ";
    files_make_folder(folder);
    put_text(folder, "a/0.ppm", color);
    put_text(folder, "a/1.pgm", "P2 6 2 255 0 0 100 200 0 0  0 0 100 200 0 0 ");
    put_text(folder, "a/2.pgm", "P2 2 6 255 0 0  0 0  100 100  200 200  0 0  0 0 ");
    put_text(folder, "a/3.pgm", "P2 4 4 255 8 8 0 0 8 8 0 0 0 0 0 0 0 0 0 0 ");
    cn_dataset *data = expect_set("folder:", folder, ",size=2x2,channels=1", CN_SUBSET_TRAIN);
    const int pixels[][4] = {
        {76, 76, 76, 76}, {100, 200, 100, 200}, {100, 100, 200, 200}, {8, 0, 0, 0}};
    assert_memory_equal(cn_dataset_shape(data), ((int[]){2, 2, 1}), 12);
    for (int i = 0; i < 4; i++) {
        float x[4];
        int32_t label;
        cn_dataset_batch(data, &i, 1, NULL, NULL, x, &label, NULL);
        for (int k = 0; k < 4; k++) assert_close(x[k] * 255, pixels[i][k], 1e-4);
    }
    cn_dataset_free(data);
    data = expect_set("folder:", folder, "", CN_SUBSET_TRAIN);
    assert_memory_equal(cn_dataset_shape(data), ((int[]){2, 2, 3}), 12); /* the medians */
    cn_dataset_free(data);
    data = expect_set("folder:", folder, ",channels=4", CN_SUBSET_TRAIN);
    assert_memory_equal(cn_dataset_shape(data), ((int[]){2, 2, 4}), 12);
    cn_dataset_free(data);
    remove_tree(folder);
}

/* More than 8 bits are kept where any image has them, whichever comes first. */
static void sixteen_bits_are_kept(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    cn_dataset *data;
    float mean, std;
    files_make_folder(folder);
    put_text(folder, "a/1.pgm", "P2 2 1 65535 1 257 ");
    put_text(folder, "a/2.pgm", "P2 2 1 255 1 1 ");
    data = expect_set("folder:", folder, "", CN_SUBSET_TRAIN);
    assert_close(first_pixel(data, 0), 255.0 / 65535, 1e-9);
    assert_close(first_pixel(data, 1), 1, 1e-6);
    cn_dataset_statistics(data, &mean, &std);
    assert_close(mean, (1 + 257 + 257 + 257) / 4.0 / 65535, 1e-8);
    cn_dataset_free(data);
    put_text(folder, "a/0.pgm", "P2 2 1 255 1 1 ");
    data = expect_set("folder:", folder, "", CN_SUBSET_TRAIN);
    assert_close(first_pixel(data, 0), 1, 1e-6);
    assert_close(first_pixel(data, 1), 255.0 / 65535, 1e-9);
    cn_dataset_free(data);
    remove_tree(folder);
}

/* A gray image that comes first, or all of a part, does not make the others gray. */
static void color_is_kept_whichever_image_has_it(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    float x[3];
    int32_t label;
    files_make_folder(folder);
    for (int i = 0; i < 6; i++) {
        char name[32];
        snprintf(name, sizeof name, "train/a/%d.pgm", i);
        put_gray(folder, name, 1, 1, 51);
    }
    put_gray(folder, "test/a/1.pgm", 1, 1, 51);
    for (int colored = 0; colored < 2; colored++) {
        if (colored) put_text(folder, "test/a/2.ppm", "P3 # a comment\n1 1 255 255 0 102 ");
        for (cn_subset split = CN_SUBSET_TRAIN; split <= CN_SUBSET_TEST; split++) {
            cn_dataset *data = expect_set("", folder, "", split);
            assert_int_equal(cn_dataset_shape(data)[2], colored ? 3 : 1);
            if (colored && split == CN_SUBSET_TEST) {
                cn_dataset_batch(data, (int[]){1}, 1, NULL, NULL, x, &label, NULL);
                assert_close(x[0], 1, 1e-6);
                assert_close(x[1], 0, 1e-6);
                assert_close(x[2], 0.4, 1e-6);
            }
            cn_dataset_free(data);
        }
    }
    remove_tree(folder);
}

/* As microscopes and satellites take them: no color, and none to be made of them. */
static void images_may_have_many_channels(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    float x[10];
    int32_t label;
    files_make_folder(folder);
    put_text(folder, "a/1.pam", "P7\nWIDTH 2\nHEIGHT 1\nDEPTH 5\nMAXVAL 255\nENDHDR\n0123456789");
    put_text(folder, "b/2.pam", "P7\nWIDTH 2\nHEIGHT 1\nDEPTH 5\nMAXVAL 255\nENDHDR\nabcdefghij");
    cn_dataset *data = expect_set("folder:", folder, "", CN_SUBSET_TRAIN);
    assert_int_equal(cn_dataset_shape(data)[2], 5);
    cn_dataset_batch(data, (int[]){1}, 1, NULL, NULL, x, &label, NULL);
    for (int i = 0; i < 10; i++) assert_close(x[i], ('a' + i) / 255.0, 1e-6);
    cn_dataset_free(data);
    put_text(folder, "b/3.ppm", "P3 1 1 255 255 0 102 ");
    expect_failure("folder:", folder, "", CN_ERR_UNSUPPORTED,
                   "3.ppm: an image of 3 channels, expected 5");
    expect_failure("folder:", folder, ",channels=1", CN_ERR_UNSUPPORTED,
                   "1.pam: an image of 5 channels, expected 1");
    remove_tree(folder);
}

/* What a header says, without the pixels. */
static void headers_tell_color_and_depth(void **state)
{
    (void)state;
    static const uint8_t png[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13, 'I',
                                  'H',  'D', 'R', 0,   0,    0,    1,    0,    0, 0, 1, 8,  2};
    static const uint8_t jpeg[] = {0xff, 0xd8, 0xff, 0xe0, 0, 4, 0xff, 0xc0, 0xff, 0xff,
                                   0xff, 0xc2, 0,    17,   8, 0, 1,    0,    1,    3};
    const struct {
        const char *text;
        bool found, color, deep;
    } cases[] = {
        {"P2 1 1 255 0", true, false, false},
        {"P5 # 9\n1\n1 # 7\r65535 xx", true, false, true},
        {"P6 1 1 256 xxxxxx", true, true, true},
        {"P6 1 1", false, false, false},
        {"", false, false, false},
        {"RIFF....WEBP", false, false, false},
    };
    char folder[FILES_PATH], path[FILES_PATH];
    cn_image_form form;
    files_make_folder(folder);
    files_join(path, folder, "x");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        files_write(path, cases[i].text, strlen(cases[i].text));
        form = (cn_image_form){.color = false};
        assert_int_equal(cn_image_find_form(&form, path), cases[i].found);
        if (!cases[i].found) continue;
        assert_int_equal(form.color, cases[i].color);
        assert_int_equal(form.deep, cases[i].deep);
    }
    const bool colors[] = {false, false, true, true, false, false, true};
    for (uint8_t type = 0; type <= 6; type++)
        for (uint8_t depth = 8; depth <= 16; depth = (uint8_t)(2 * depth)) {
            uint8_t bytes[sizeof png];
            memcpy(bytes, png, sizeof png);
            bytes[24] = depth;
            bytes[25] = type;
            files_write(path, bytes, sizeof bytes);
            assert_true(cn_image_find_form(&form, path));
            assert_int_equal(form.color, colors[type]);
            assert_int_equal(form.deep, depth == 16);
        }
    for (uint8_t parts = 1; parts <= 4; parts++) {
        uint8_t bytes[sizeof jpeg];
        memcpy(bytes, jpeg, sizeof jpeg);
        bytes[sizeof jpeg - 1] = parts;
        files_write(path, bytes, sizeof bytes);
        assert_true(cn_image_find_form(&form, path));
        assert_int_equal(form.color, parts > 1);
    }
    for (size_t cut = 0; cut < sizeof jpeg; cut++) {
        files_write(path, jpeg, cut);
        assert_false(cn_image_find_form(&form, path));
        files_write(path, png, cut);
        assert_false(cn_image_find_form(&form, path));
    }
    files_remove_folder(folder);
}

static void damaged_images_may_be_skipped(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    cn_dataset *data = NULL;
    cn_error err;
    const cn_dataset_opts skip = {.skip_damaged = true};
    files_make_folder(folder);
    put_text(folder, "a/0.png", "not an image"); /* the first, whose size counts otherwise */
    put_gray(folder, "a/1.pgm", 2, 2, 1);
    put_text(folder, "a/2.pgm", "P5 2 2 255 ");
    put_gray(folder, "b/3.pgm", 2, 2, 3);
    put_text(folder, "b/4.pgm", "");
    assert_int_equal(cn_dataset_load(&data, folder, CN_SUBSET_ALL, NULL, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "a/0.png: byte 0");
    assert_int_equal(cn_dataset_load(&data, folder, CN_SUBSET_ALL, &skip, &err), CN_OK);
    assert_int_equal(cn_dataset_size(data), 2);
    assert_memory_equal(cn_dataset_shape(data), ((int[]){2, 2, 1}), 12);
    assert_close(first_pixel(data, 0), 1, 1e-4);
    assert_close(first_pixel(data, 1), 3, 1e-4);
    assert_int_equal(cn_dataset_label(data, 0), 0);
    assert_int_equal(cn_dataset_label(data, 1), 1);
    const char *remarks = cn_dataset_remarks(data);
    const char *const lines[] = {"a/0.png: byte 0: expected a PNG", "a/2.pgm: an image of 2 x 2",
                                 "b/4.pgm: byte 0: expected an image, found an empty file",
                                 "skipped 3 damaged images of 5\n"};
    for (int i = 0; i < 4; i++)
        if (!strstr(remarks, lines[i])) fail_msg("no \"%s\" in \"%s\"", lines[i], remarks);
    cn_dataset_free(data);
    data = NULL;
    put_text(folder, "a/1.pgm", "");
    put_text(folder, "b/3.pgm", "");
    assert_int_not_equal(cn_dataset_load(&data, folder, CN_SUBSET_ALL, &skip, &err), CN_OK);
    assert_null(data);
    remove_tree(folder);
}

#ifdef CONVNET_HAVE_PNG
static void png_of_sixteen_bits_is_kept(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    float x[12];
    int32_t label;
    uint16_t samples[12];
    for (int i = 0; i < 12; i++) samples[i] = (uint16_t)(i * 5000 + 1);
    png_image png = {
        .version = PNG_IMAGE_VERSION, .width = 2, .height = 2, .format = PNG_FORMAT_LINEAR_RGB};
    files_make_folder(folder);
    put_text(folder, "a/1.png", "");
    assert_true(
        png_image_write_to_file(&png, files_join(path, folder, "a/1.png"), 0, samples, 0, NULL));
    cn_dataset *data = expect_set("", folder, "", CN_SUBSET_TRAIN);
    assert_memory_equal(cn_dataset_shape(data), ((int[]){2, 2, 3}), 12);
    cn_dataset_batch(data, (int[]){0}, 1, NULL, NULL, x, &label, NULL);
    for (int i = 0; i < 12; i++) assert_close(x[i], samples[i] / 65535.0, 1e-7);
    cn_dataset_free(data);
    remove_tree(folder);
}
#endif

static void bad_folders_are_refused(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    expect_failure("folder:", "", "", CN_ERR_ARGUMENT, "folder: expected a path after the colon");
    expect_failure("folder:", folder, "/nowhere", CN_ERR_IO, "nowhere: No such file");
    expect_failure("folder:", folder, "", CN_ERR_FORMAT,
                   "expected a sub-folder of images for each");
    put_text(folder, "a/notes.txt", "");
    expect_failure("folder:", folder, "", CN_ERR_FORMAT, "for each class, found 1 .txt");
    expect_failure("", folder, "", CN_ERR_UNSUPPORTED, "no data set recognized: found a;");
    put_gray(folder, "a/1.pgm", 2, 2, 1);
    put_text(folder, "a/2.png", "P5 2 2 255 ");
    put_text(folder, "a/3.png", "neither");
    expect_failure("folder:", folder, "", CN_ERR_FORMAT, "a/2.png: an image of 2 x 2 in a file");
    put_gray(folder, "a/2.png", 2, 2, 1); /* what a file is, is told by its first bytes */
    expect_failure("folder:", folder, "", CN_ERR_UNSUPPORTED, "a/3.png: byte 0: expected a PNG");
    put_text(folder, "a/3.png", "P5 2147483647 2147483647 255 ");
    expect_failure("folder:", folder, "", CN_ERR_UNSUPPORTED, "pixels");
    put_gray(folder, "a/3.png", 2, 2, 1);
    const char *options[] = {",size=",        ",size=0x3",      ",size=3",         ",size=3x4x5",
                             ",channels=0",   ",channels=1025", ",size=-1x2",      ",color=1",
                             ",size=3x4,x=1", ",fit=pad",       ",background=red", ",layout=nchw"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        expect_failure("folder:", folder, options[i], CN_ERR_ARGUMENT,
                       "expected one of size=HEIGHTxWIDTH, channels=N, fit=");
    expect_failure("folder:", folder, ",range=0..1", CN_ERR_ARGUMENT,
                   "which none of the images has");
    expect_failure("folder:", folder, ",size=3x4,size=3x4", CN_ERR_ARGUMENT, "given before");
    expect_failure("folder:", folder, ",channels=1,size=3x4,channels=1", CN_ERR_ARGUMENT,
                   "option \"channels=1\": it was given before");
    expect_failure("folder:", folder, ",size=99999x99999", CN_ERR_MEMORY,
                   "3 images of (99999, 99999, 1) need more than this machine's memory");
    remove_tree(folder);
}

/* A comma is part of a path unless an option stands behind it. */
static void paths_may_have_commas(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    put_gray(folder, "a, b/x/1.pgm", 2, 2, 1);
    files_join(path, folder, "a, b");
    cn_dataset_free(expect_set("folder:", path, "", CN_SUBSET_TRAIN));
    cn_dataset_free(expect_set("folder:", path, ",size=3x3", CN_SUBSET_TRAIN));
    remove_tree(folder);
}

/* Whatever the number of threads, the same images, and the error of the first that is wrong. */
static void threads_change_nothing(void **state)
{
    (void)state;
    enum { COUNT = 60 };
    char folder[FILES_PATH], name[32];
    files_make_folder(folder);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "a/%02d.pgm", i);
        put_gray(folder, name, 3, 3, i);
    }
    for (int threads = 1; threads <= 3; threads++) {
        snprintf(name, sizeof name, "%d", threads);
        setenv("OMP_NUM_THREADS", name, 1);
        cn_dataset *data = expect_set("folder:", folder, "", CN_SUBSET_TRAIN);
        for (int i = 0, at = 0; i < COUNT; i++)
            if (i % 5 != 4) assert_close(first_pixel(data, at++), i, 1e-4);
        cn_dataset_free(data);
    }
    put_text(folder, "a/33.pgm", "first");
    put_text(folder, "a/51.pgm", "second");
    expect_failure("folder:", folder, "", CN_ERR_UNSUPPORTED, "a/33.pgm: byte 0");
    unsetenv("OMP_NUM_THREADS");
    remove_tree(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sub_folder_is_a_class),
        cmocka_unit_test(splits_may_be_folders),
        cmocka_unit_test(images_are_cropped_and_resized),
        cmocka_unit_test(sixteen_bits_are_kept),
        cmocka_unit_test(color_is_kept_whichever_image_has_it),
        cmocka_unit_test(images_may_have_many_channels),
        cmocka_unit_test(headers_tell_color_and_depth),
        cmocka_unit_test(damaged_images_may_be_skipped),
#ifdef CONVNET_HAVE_PNG
        cmocka_unit_test(png_of_sixteen_bits_is_kept),
#endif
        cmocka_unit_test(bad_folders_are_refused),
        cmocka_unit_test(paths_may_have_commas),
        cmocka_unit_test(threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
