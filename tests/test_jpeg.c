/* JPEG decoded at a reduced scale: when, to which pixels, and how near to the mean over an area. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef CONVNET_HAVE_JPEG

#include <jpeglib.h>

#include "files.h"
#include "formats/image.h"

enum { ROWS = 128, COLUMNS = 192, CHANNELS = 3 };

/* Soft waves, as photographs have them, and a sharp edge. */
static uint8_t *draw(void)
{
    uint8_t *image = malloc(ROWS * COLUMNS * CHANNELS), *at = image;
    assert_non_null(image);
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++)
            for (int k = 0; k < CHANNELS; k++) {
                double wave = 50 * sin(0.07 * r + k) + 40 * cos(0.05 * c - k);
                *at++ = (uint8_t)(120 + wave + (c > 2 * r ? 20 : -20));
            }
    return image;
}

/* Exif data that say a quarter turn. */
static const uint8_t turned[] = "Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0";

static uint8_t *compress(const uint8_t *image, bool turn, unsigned long *size)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr manager;
    uint8_t *out = NULL;
    jpeg.err = jpeg_std_error(&manager);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &out, size);
    jpeg.image_width = COLUMNS;
    jpeg.image_height = ROWS;
    jpeg.in_color_space = JCS_RGB;
    jpeg.input_components = CHANNELS;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 95, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    if (turn) jpeg_write_marker(&jpeg, JPEG_APP0 + 1, turned, sizeof turned);
    while (jpeg.next_scanline < ROWS) {
        uint8_t *row = (uint8_t *)(uintptr_t)image + jpeg.next_scanline * COLUMNS * CHANNELS;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return out;
}

/* By libjpeg alone, a `factor`-th of the size. */
static uint8_t *decompress(const uint8_t *bytes, unsigned long size, int factor)
{
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr manager;
    jpeg.err = jpeg_std_error(&manager);
    jpeg_create_decompress(&jpeg);
    jpeg_mem_src(&jpeg, bytes, size);
    jpeg_read_header(&jpeg, TRUE);
    jpeg.scale_num = 1;
    jpeg.scale_denom = (unsigned)factor;
    jpeg.dct_method = JDCT_ISLOW;
    jpeg_start_decompress(&jpeg);
    uint8_t *out = malloc((size_t)jpeg.output_height * jpeg.output_width * CHANNELS);
    assert_non_null(out);
    while (jpeg.output_scanline < jpeg.output_height) {
        uint8_t *row = out + (size_t)jpeg.output_scanline * jpeg.output_width * CHANNELS;
        jpeg_read_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_decompress(&jpeg);
    jpeg_destroy_decompress(&jpeg);
    return out;
}

static void read_for(cn_tensor *image, cn_image_view *view, const char *path, int n_H, int n_W)
{
    const cn_image_opts opts = {.fit = CN_FIT_CROP};
    const cn_image_aim aim = {.n_H = n_H, .n_W = n_W, .opts = &opts};
    cn_error err = {CN_OK, ""};
    if (cn_image_read_for(image, view, path, &aim, &err) != CN_OK) fail_msg("%s", err.text);
}

/* The mean distance of a reduced image from the means over its pixels' areas. */
static double distance(const uint8_t *reduced, const uint8_t *whole, int factor)
{
    double sum = 0;
    const int columns = COLUMNS / factor, count = ROWS / factor * columns * CHANNELS;
    for (int i = 0; i < count; i++) {
        int k = i % CHANNELS, c = i / CHANNELS % columns, r = i / CHANNELS / columns, area = 0;
        for (int y = r * factor; y < (r + 1) * factor; y++)
            for (int x = c * factor; x < (c + 1) * factor; x++)
                area += whole[(y * COLUMNS + x) * CHANNELS + k];
        sum += fabs(reduced[i] - (double)area / (factor * factor));
    }
    return sum / count;
}

typedef struct jpeg_file {
    char folder[FILES_PATH], path[FILES_PATH];
    uint8_t *bytes;
    unsigned long size;
} jpeg_file;

static void make_file(jpeg_file *f, bool turn)
{
    uint8_t *image = draw();
    f->bytes = compress(image, turn, &f->size);
    free(image);
    files_make_folder(f->folder);
    files_write(files_join(f->path, f->folder, "a.jpg"), f->bytes, f->size);
}

static void free_file(jpeg_file *f)
{
    free(f->bytes);
    files_remove_folder(f->folder);
}

static void two_pixels_are_left_for_each(void **state)
{
    static const struct {
        int n_H, n_W, reduced;
    } aims[] = {
        {128, 192, 1}, {64, 96, 1}, {33, 48, 1}, {32, 48, 2}, {17, 24, 2}, {16, 24, 4},
        {9, 12, 4},    {8, 12, 8},  {4, 6, 8},   {1, 1, 8},   {8, 8, 8},   {32, 8, 2},
    };
    (void)state;
    jpeg_file f;
    make_file(&f, false);
    for (size_t i = 0; i < sizeof aims / sizeof *aims; i++) {
        cn_tensor image = {0};
        cn_image_view view;
        read_for(&image, &view, f.path, aims[i].n_H, aims[i].n_W);
        assert_int_equal(view.reduced, aims[i].reduced);
        assert_int_equal(view.rows, ROWS);
        assert_int_equal(view.columns, COLUMNS);
        assert_memory_equal(image.shape,
                            ((int[]){ROWS / view.reduced, COLUMNS / view.reduced, CHANNELS}), 12);
        cn_tensor_free(&image);
    }
    free_file(&f);
}

static void the_pixels_are_those_of_libjpeg(void **state)
{
    (void)state;
    jpeg_file f;
    make_file(&f, false);
    uint8_t *whole = decompress(f.bytes, f.size, 1);
    for (int factor = 2; factor <= 8; factor *= 2) {
        cn_tensor image = {0};
        cn_image_view view;
        uint8_t *wanted = decompress(f.bytes, f.size, factor);
        read_for(&image, &view, f.path, ROWS / factor / 2, COLUMNS / factor / 2);
        assert_int_equal(view.reduced, factor);
        assert_memory_equal(image.data, wanted, cn_tensor_count(&image));
        /* Half a level of rounding, and what the edge loses of its sharpness. */
        assert_true(distance(image.data, whole, factor) < 1.5);
        free(wanted);
        cn_tensor_free(&image);
    }
    free(whole);
    free_file(&f);
}

/* Its cut pixels would come first. */
static void what_is_turned_is_decoded_whole(void **state)
{
    (void)state;
    jpeg_file f;
    cn_tensor image = {0};
    cn_image_view view;
    make_file(&f, true);
    read_for(&image, &view, f.path, 8, 8);
    assert_int_equal(view.reduced, 1);
    assert_memory_equal(image.shape, ((int[]){COLUMNS, ROWS, CHANNELS}), 12);
    cn_tensor_free(&image);
    free_file(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_pixels_are_left_for_each),
        cmocka_unit_test(the_pixels_are_those_of_libjpeg),
        cmocka_unit_test(what_is_turned_is_decoded_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#else

int main(void)
{
    puts("skipped: built without libjpeg (CONVNET_JPEG)");
    return 77;
}

#endif
