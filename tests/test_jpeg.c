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

/* How a file is written: chroma has one sample for so many pixels along each axis. */
typedef struct form {
    bool turn, progressive;
    int sampling;
} form;

static uint8_t *compress_as(const uint8_t *image, form f, unsigned long *size)
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
    jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = f.sampling;
    if (f.progressive) jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    if (f.turn) jpeg_write_marker(&jpeg, JPEG_APP0 + 1, turned, sizeof turned);
    while (jpeg.next_scanline < ROWS) {
        uint8_t *row = (uint8_t *)(uintptr_t)image + jpeg.next_scanline * COLUMNS * CHANNELS;
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return out;
}

static uint8_t *compress(const uint8_t *image, bool turn, unsigned long *size)
{
    return compress_as(image, (form){.turn = turn, .sampling = 2}, size);
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

static cn_image_part choose(const void *argument, int rows, int columns)
{
    const cn_image_part *part = argument;
    assert_int_equal(rows, ROWS);
    assert_int_equal(columns, COLUMNS);
    return *part;
}

/* Any part of the image. */
static cn_image_part draw_part(uint32_t *draws)
{
    int at[4];
    for (int j = 0; j < 4; j++)
        at[j] = (int)((*draws = *draws * UINT32_C(1664525) + UINT32_C(1013904223)) >> 16);
    cn_image_part part = {.height = 1 + at[0] % ROWS, .width = 1 + at[1] % COLUMNS};
    part.top = at[2] % (ROWS - part.height + 1);
    part.left = at[3] % (COLUMNS - part.width + 1);
    return part;
}

static void compare_part(const char *path, const uint8_t *bytes, unsigned long size,
                         const cn_image_part *part, int n_H, int n_W)
{
    static const cn_image_opts opts = {.fit = CN_FIT_CROP};
    const cn_framing framing = {choose, part};
    const cn_image_aim aim = {n_H, n_W, &opts, &framing};
    const int shape[3] = {n_H, n_W, CHANNELS};
    uint8_t found[ROWS * COLUMNS], expected[ROWS * COLUMNS];
    cn_tensor out[2] = {cn_tensor_view(CN_DTYPE_U8, 4, (int[]){1, n_H, n_W, CHANNELS}, found),
                        cn_tensor_view(CN_DTYPE_U8, 4, (int[]){1, n_H, n_W, CHANNELS}, expected)};
    cn_tensor image = {0};
    cn_image_view view;
    assert_int_equal(cn_image_read_for(&image, &view, path, &aim, NULL), CN_OK);
    uint8_t *all = decompress(bytes, size, view.reduced);
    cn_tensor whole = cn_tensor_view(CN_DTYPE_U8, 3, image.shape, all);
    assert_int_equal(cn_image_fit_view(&image, &view, shape, &opts, &out[0], NULL), CN_OK);
    assert_int_equal(cn_image_fit_view(&whole, &view, shape, &opts, &out[1], NULL), CN_OK);
    if (memcmp(found, expected, (size_t)(n_H * n_W * CHANNELS)) != 0)
        fail_msg("%d x %d at %d, %d, reduced by %d", part->height, part->width, part->top,
                 part->left, view.reduced);
    free(all);
    cn_tensor_free(&image);
}

/* Only the rows and columns around a part that is drawn are decoded: to the bits of the whole. */
static void a_drawn_part_is_that_of_the_whole(void **state)
{
    static const form forms[] = {
        {.sampling = 2}, {.sampling = 1}, {.sampling = 2, .progressive = true}};
    uint8_t *image = draw();
    uint32_t draws = 1;
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        jpeg_file f;
        f.bytes = compress_as(image, forms[i], &f.size);
        files_make_folder(f.folder);
        files_write(files_join(f.path, f.folder, "a.jpg"), f.bytes, f.size);
        for (int k = 0; k < 60; k++) {
            const cn_image_part part = draw_part(&draws);
            compare_part(f.path, f.bytes, f.size, &part, 24, 20);
            compare_part(f.path, f.bytes, f.size, &part, 5, 7);
        }
        free_file(&f);
    }
    free(image);
}

static void a_mask_is_no_jpeg(void **state)
{
    (void)state;
    char path[FILES_PATH], folder[FILES_PATH];
    cn_tensor mask = {0};
    cn_error err = {CN_OK, ""};
    unsigned long size = 0;
    uint8_t *image = calloc(ROWS * COLUMNS, CHANNELS), *bytes = compress(image, false, &size);
    files_make_folder(folder);
    files_write(files_join(path, folder, "a.png"), bytes, size);
    assert_int_equal(cn_mask_load(&mask, path, &err), CN_ERR_UNSUPPORTED);
    assert_says(err, "a.png: a mask as JPEG, which changes values: expected one as PNG");
    assert_null(mask.data);
    files_remove_folder(folder);
    free(bytes);
    free(image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mask_is_no_jpeg),
        cmocka_unit_test(a_drawn_part_is_that_of_the_whole),
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
