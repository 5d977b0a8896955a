/* Images: PNM, PNG and JPEG, true and damaged, and their fitting to a model's input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "decoding.h"

#ifdef CONVNET_HAVE_PNG
#include <png.h>
#endif
#ifdef CONVNET_HAVE_JPEG
#include <jpeglib.h>
#endif

/* ---- PNM */

#define EXPECT_PNM(text, ...) \
    expect_image(text, sizeof text - 1, (int[]){2, 3, 1}, (uint8_t[]){__VA_ARGS__})

static void pnm_in_all_its_forms(void **state)
{
    (void)state;
    EXPECT_PNM("P2\n3 2\n255\n0 1 2\n3 4 255\n", 0, 1, 2, 3, 4, 255);
    EXPECT_PNM("P2 # made by hand\n3 # wide\n2 15 0 1 2#x\n3 7 15", 0, 17, 34, 51, 119, 255);
    EXPECT_PNM("P5 3 2 255\n\001\002\003\004\005\377", 1, 2, 3, 4, 5, 255);
    EXPECT_PNM("P5\n#c\n3 2\n255\n######", '#', '#', '#', '#', '#', '#');
    EXPECT_PNM("P5 3 2 65535 \0\0\0\200\1\1\200\0\377\376\377\377", 0, 0, 1, 128, 255, 255);
    EXPECT_PNM("P5 3 2 1 \0\1\1\0\0\1", 0, 255, 255, 0, 0, 255);
    EXPECT_PNM("P1 3 2 0 1 1\n1 0 1\n", 255, 0, 0, 0, 255, 0);
    EXPECT_PNM("P1#bits\n3 2\n011#\n101", 255, 0, 0, 0, 255, 0);
    EXPECT_PNM("P4 3 2 \x60\xbf", 255, 0, 0, 0, 255, 0);
    const char color[] = "P6 1 2 255\n\1\2\3\4\5\6", plain[] = "P3 2 1 255 1 2 3 4 5 6";
    expect_image(color, sizeof color - 1, (int[]){2, 1, 3}, (uint8_t[]){1, 2, 3, 4, 5, 6});
    expect_image(plain, sizeof plain - 1, (int[]){1, 2, 3}, (uint8_t[]){1, 2, 3, 4, 5, 6});
}

#define EXPECT_LIE(text, status, part) expect_failure(text, sizeof text - 1, status, part)

static void pnm_lies_are_refused(void **state)
{
    (void)state;
    EXPECT_LIE("", CN_ERR_FORMAT, "expected an image, found an empty file");
    EXPECT_LIE("P8 1 1 0", CN_ERR_UNSUPPORTED, "expected a PNG, JPEG, ");
    EXPECT_LIE("P1 2 1 0 2", CN_ERR_FORMAT, "byte 9: bit: expected 0 or 1, found something else");
    EXPECT_LIE("P1 2 1 0 ", CN_ERR_FORMAT, "byte 9: bit: expected 0 or 1, found the end");
    EXPECT_LIE("P1 2 1 0", CN_ERR_FORMAT, "in a file that can hold 1 pixels");
    EXPECT_LIE("P1 2 1 011", CN_ERR_FORMAT, "expected the end, found more bytes");
    EXPECT_LIE("P4 9 1 \1", CN_ERR_FORMAT, "in a file that can hold 8 pixels");
    EXPECT_LIE("P4 3 2 \1", CN_ERR_FORMAT, "byte 7: expected 2 bytes, found 1");
    EXPECT_LIE("P5", CN_ERR_FORMAT, "byte 2: width: expected a number, found the end");
    EXPECT_LIE("P5 x", CN_ERR_FORMAT, "byte 3: width: expected a number, found something else");
    EXPECT_LIE("P5 0 2 255\n", CN_ERR_FORMAT, "byte 3: width: expected 1 to 2147483647, found 0");
    EXPECT_LIE("P5 99999999999999999999 2 255\n", CN_ERR_FORMAT, "width: expected 1 to 2147483647");
    EXPECT_LIE("P5 2 2 65536\n", CN_ERR_FORMAT, "greatest value: expected 1 to 65535");
    EXPECT_LIE("P5 2 2 255", CN_ERR_FORMAT, "expected white space");
    EXPECT_LIE("P5 20000 20000 255\n1", CN_ERR_UNSUPPORTED, "at most 268435456 pixels");
    EXPECT_LIE("P5 10000 10000 255\n1", CN_ERR_FORMAT, "in a file that can hold 1 pixels");
    EXPECT_LIE("P6 1 2 255\n12345", CN_ERR_FORMAT, "in a file that can hold 1 pixels");
    EXPECT_LIE("P5 1 2 100\n1\xff", CN_ERR_FORMAT, "byte 12: sample 255, expected 0 to 100");
    EXPECT_LIE("P2 1 2 100\n1 101", CN_ERR_FORMAT, "byte 13: sample: expected 0 to 100, found");
    EXPECT_LIE("P5 1 2 255\n123", CN_ERR_FORMAT, "byte 13: expected the end, found more bytes");
}

static void damaged_pnm_does_no_harm(void **state)
{
    (void)state;
    const char raw[] = "P6 2 2 255\n\1\2\3\4\5\6\7\1\2\3\4\5", plain[] = "P2 3 2 9 1 2 3 4 5 6\n";
    survive_damage((const uint8_t *)raw, sizeof raw - 1, sizeof raw - 1);
    survive_damage((const uint8_t *)plain, sizeof plain - 1, sizeof plain - 1);
    survive_damage((const uint8_t *)"P1 3 2 010 110", 14, 14);
    survive_damage((const uint8_t *)"P4 9 2 \1\0\2\0", 11, 11);
}

/* ---- PNG */

#ifdef CONVNET_HAVE_PNG

typedef struct buffer {
    uint8_t at[8192];
    size_t size;
} buffer;

static void put_png(png_structp png, png_bytep data, size_t size)
{
    buffer *b = png_get_io_ptr(png);
    assert_true(b->size + size <= sizeof b->at);
    memcpy(b->at + b->size, data, size);
    b->size += size;
}

static void keep_png(png_structp png)
{
    (void)png;
}

/* Rows of `row` bytes, written as they are. */
static buffer make_png(int width, int height, int depth, int type, int interlace,
                       const uint8_t *pixels, size_t row)
{
    static const png_color palette[2] = {{10, 20, 30}, {40, 50, 60}};
    buffer b = {{0}, 0};
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_bytep rows[16];
    for (int i = 0; i < height; i++) rows[i] = (png_bytep)(uintptr_t)(pixels + (size_t)i * row);
    png_set_write_fn(png, &b, put_png, keep_png);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, depth, type, interlace,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (type == PNG_COLOR_TYPE_PALETTE) png_set_PLTE(png, info, palette, 2);
    png_write_info(png, info);
    png_write_image(png, rows);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return b;
}

static void png_in_all_its_forms(void **state)
{
    (void)state;
    uint8_t pixels[48];
    for (int i = 0; i < 48; i++) pixels[i] = (uint8_t)(i * 5);
    const struct {
        int type, channels;
    } types[] = {{PNG_COLOR_TYPE_GRAY, 1},
                 {PNG_COLOR_TYPE_GRAY_ALPHA, 2},
                 {PNG_COLOR_TYPE_RGB, 3},
                 {PNG_COLOR_TYPE_RGB_ALPHA, 4}};
    for (size_t i = 0; i < 4; i++)
        for (int interlace = 0; interlace < 2; interlace++) {
            int n = types[i].channels;
            buffer b = make_png(4, 3, 8, types[i].type, interlace, pixels, (size_t)(4 * n));
            expect_image(b.at, b.size, (int[]){3, 4, n}, pixels);
        }
    const uint8_t deep[4] = {0, 255, 255, 255}, bits[1] = {0x40};
    buffer b = make_png(2, 1, 16, PNG_COLOR_TYPE_GRAY, 0, deep, 4);
    expect_image(b.at, b.size, (int[]){1, 2, 1}, (uint8_t[]){1, 255});
    b = make_png(2, 1, 1, PNG_COLOR_TYPE_GRAY, 0, bits, 1);
    expect_image(b.at, b.size, (int[]){1, 2, 1}, (uint8_t[]){0, 255});
    b = make_png(2, 1, 1, PNG_COLOR_TYPE_PALETTE, 0, bits, 1);
    expect_image(b.at, b.size, (int[]){1, 2, 3}, (uint8_t[]){10, 20, 30, 40, 50, 60});
}

static void put_big_endian(uint8_t *p, uint32_t word)
{
    for (int i = 0; i < 4; i++) p[i] = (uint8_t)(word >> (24 - 8 * i));
}

/* Gives a PNG another size, with the checksum that goes with it. */
static void resize_png(buffer *b, uint32_t width, uint32_t height)
{
    uint32_t crc = 0xffffffffu;
    put_big_endian(b->at + 16, width);
    put_big_endian(b->at + 20, height);
    for (int i = 12; i < 29; i++) {
        crc ^= b->at[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    put_big_endian(b->at + 29, ~crc);
}

static void damaged_png_is_an_error(void **state)
{
    (void)state;
    uint8_t pixels[64] = {1, 2, 3};
    buffer b = make_png(8, 8, 8, PNG_COLOR_TYPE_GRAY, 0, pixels, 8);
    for (size_t size = 8; size < b.size; size++)
        expect_failure(b.at, size, CN_ERR_FORMAT, "the file is cut short");
    survive_damage(b.at, b.size, b.size);
    resize_png(&b, 100000, 100000);
    expect_failure(b.at, b.size, CN_ERR_UNSUPPORTED, "at most 268435456 pixels");
    resize_png(&b, 10000, 10000);
    expect_failure(b.at, b.size, CN_ERR_FORMAT, "10000 x 10000 in a file that can hold");
    resize_png(&b, 9, 8);
    expect_failure(b.at, b.size, CN_ERR_FORMAT, "PNG: ");
}

#else

static void png_is_refused_by_name(void **state)
{
    (void)state;
    EXPECT_LIE("\x89PNG\r\n\x1a\n", CN_ERR_UNSUPPORTED, "built without libpng (CONVNET_PNG)");
}

#endif

/* ---- JPEG */

#ifdef CONVNET_HAVE_JPEG

/* 16 x 16 of one color, as libjpeg writes it. */
static uint8_t *make_jpeg(J_COLOR_SPACE space, const uint8_t *color, bool progressive,
                          unsigned long *size)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr manager;
    uint8_t row[16 * 4], *out = NULL;
    JSAMPROW rows[1] = {row};
    jpeg.err = jpeg_std_error(&manager);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &out, size);
    jpeg.image_width = jpeg.image_height = 16;
    jpeg.in_color_space = space;
    jpeg.input_components = space == JCS_GRAYSCALE ? 1 : space == JCS_RGB ? 3 : 4;
    for (int i = 0; i < 16 * jpeg.input_components; i++) row[i] = color[i % jpeg.input_components];
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    if (progressive) jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (int i = 0; i < 16; i++) jpeg_write_scanlines(&jpeg, rows, 1);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return out;
}

/* Within 2 of the color: the conversion to YCbCr and back rounds. */
static void expect_color(J_COLOR_SPACE space, const uint8_t *in, int channels, const uint8_t *want)
{
    for (int progressive = 0; progressive < 2; progressive++) {
        unsigned long size = 0;
        uint8_t *bytes = make_jpeg(space, in, progressive, &size);
        cn_tensor t = {0};
        assert_int_equal(decode(&t, bytes, size, NULL), CN_OK);
        assert_memory_equal(t.shape, ((int[]){16, 16, channels}), 12);
        for (int i = 0; i < 16 * 16 * channels; i++)
            assert_in_range(((uint8_t *)t.data)[i] + 2 - want[i % channels], 0, 4);
        cn_tensor_free(&t);
        free(bytes);
    }
}

static void jpeg_in_all_its_forms(void **state)
{
    (void)state;
    expect_color(JCS_GRAYSCALE, (uint8_t[]){77}, 1, (uint8_t[]){77});
    expect_color(JCS_RGB, (uint8_t[]){200, 100, 50}, 3, (uint8_t[]){200, 100, 50});
    /* libjpeg marks CMYK as Adobe does: 255 is no ink, light = value x key / 255. */
    expect_color(JCS_CMYK, (uint8_t[]){255, 128, 0, 200}, 3, (uint8_t[]){200, 100, 0});
}

/* Without Adobe's marker, too, 255 is no ink, as other readers have it. */
static void plain_cmyk_is_inverted(void **state)
{
    (void)state;
    unsigned long size = 0;
    uint8_t *bytes = make_jpeg(JCS_CMYK, (uint8_t[]){255, 128, 0, 200}, false, &size);
    size_t marker = 2;
    while (bytes[marker] != 0xff || bytes[marker + 1] != 0xee) marker++;
    bytes[marker + 1] = 0xed; /* APP13, which nobody reads */
    cn_tensor t = {0};
    assert_int_equal(decode(&t, bytes, size, NULL), CN_OK);
    const int want[3] = {200, 100, 0};
    for (int i = 0; i < 16 * 16 * 3; i++)
        assert_in_range(((uint8_t *)t.data)[i] + 2 - want[i % 3], 0, 4);
    cn_tensor_free(&t);
    free(bytes);
}

static void damaged_jpeg_does_no_harm(void **state)
{
    (void)state;
    for (int progressive = 0; progressive < 2; progressive++) {
        unsigned long size = 0;
        uint8_t *bytes = make_jpeg(JCS_RGB, (uint8_t[]){200, 100, 50}, progressive, &size);
        for (size_t cut = 3; cut + 2 < size; cut++)
            expect_failure(bytes, cut, CN_ERR_FORMAT, "JPEG: ");
        survive_damage(bytes, size, size);
        /* The frame's header: FF C0 or C2, length, precision, height, width. */
        size_t frame = 2;
        while (bytes[frame] != 0xff || (bytes[frame + 1] != 0xc0 && bytes[frame + 1] != 0xc2))
            frame++;
        memset(bytes + frame + 5, 0xfe, 4);
        expect_failure(bytes, size, CN_ERR_UNSUPPORTED, "at most 268435456 pixels");
        memset(bytes + frame + 5, 0x3f, 4);
        expect_failure(bytes, size, CN_ERR_FORMAT, "in a file that can hold");
        free(bytes);
    }
}

#else

static void jpeg_is_refused_by_name(void **state)
{
    (void)state;
    EXPECT_LIE("\xff\xd8\xff\xe0", CN_ERR_UNSUPPORTED, "built without libjpeg (CONVNET_JPEG)");
}

#endif

/* ---- Files */

static void a_image_is_loaded_from_a_file(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    cn_tensor t = {0};
    cn_error err;
    files_make_folder(folder);
    files_write(files_join(path, folder, "a.pgm"), "P5 1 2 255\nab", 13);
    assert_int_equal(cn_image_load(&t, path, NULL), CN_OK);
    assert_memory_equal(t.data, "ab", 2);
    files_write(path, "P5 1 2 255\ncd", 13);
    assert_int_equal(cn_image_load(&t, path, NULL), CN_OK);
    assert_memory_equal(t.data, "cd", 2);
    files_write(path, "P5 2 1 255\nef", 13);
    assert_int_equal(cn_image_load(&t, path, &err), CN_ERR_SHAPE);
    assert_memory_equal(t.data, "cd", 2);
    cn_tensor_free(&t);
    assert_int_equal(cn_image_load(&t, folder, &err), CN_ERR_IO);
    assert_says(err, "expected a file, found a directory");
    assert_int_equal(cn_image_load(NULL, path, &err), CN_ERR_ARGUMENT);
    assert_null(t.data);
    files_remove_folder(folder);
}

/* ---- Fitting */

static void expect_fit_with(const cn_image_opts *opts, const int *from, const uint8_t *in,
                            const int *to, const uint8_t *want)
{
    cn_tensor image = cn_tensor_view(CN_DTYPE_U8, 3, from, (void *)(uintptr_t)in), out = {0};
    assert_int_equal(cn_image_fit(&image, to, opts, &out, NULL), CN_OK);
    assert_int_equal(out.rank, 4);
    assert_memory_equal(out.shape, ((int[]){1, to[0], to[1], to[2]}), 16);
    assert_memory_equal(out.data, want, cn_tensor_count(&out));
    cn_tensor_free(&out);
}

static void expect_fit(const int *from, const uint8_t *in, const int *to, const uint8_t *want)
{
    expect_fit_with(&(cn_image_opts){.fit = CN_FIT_STRETCH}, from, in, to, want);
}
#define SHAPE(...)  ((int[]){__VA_ARGS__})
#define PIXELS(...) ((uint8_t[]){__VA_ARGS__})

static void shrinking_takes_the_mean_over_the_area(void **state)
{
    (void)state;
    expect_fit(SHAPE(2, 2, 1), PIXELS(10, 20, 30, 40), SHAPE(1, 1, 1), PIXELS(25));
    expect_fit(SHAPE(1, 3, 1), PIXELS(0, 90, 210), SHAPE(1, 2, 1), PIXELS(30, 170));
    expect_fit(SHAPE(3, 1, 1), PIXELS(0, 90, 210), SHAPE(2, 1, 1), PIXELS(30, 170));
    expect_fit(SHAPE(1, 2, 3), PIXELS(0, 10, 20, 100, 30, 40), SHAPE(1, 1, 3), PIXELS(50, 20, 30));
    uint8_t white[97 * 89];
    memset(white, 255, sizeof white);
    expect_fit(SHAPE(97, 89, 1), white, SHAPE(28, 31, 1), white);
}

static void growing_is_linear_between_pixels(void **state)
{
    (void)state;
    expect_fit(SHAPE(1, 2, 1), PIXELS(0, 100), SHAPE(1, 4, 1), PIXELS(0, 25, 75, 100));
    expect_fit(SHAPE(2, 1, 1), PIXELS(0, 100), SHAPE(4, 1, 1), PIXELS(0, 25, 75, 100));
    expect_fit(SHAPE(1, 1, 1), PIXELS(7), SHAPE(2, 2, 1), PIXELS(7, 7, 7, 7));
    expect_fit(SHAPE(2, 2, 1), PIXELS(1, 2, 3, 4), SHAPE(2, 2, 1), PIXELS(1, 2, 3, 4));
}

static void channels_are_converted(void **state)
{
    (void)state;
    expect_fit(SHAPE(1, 1, 3), PIXELS(200, 100, 50), SHAPE(1, 1, 1), PIXELS(124));
    expect_fit(SHAPE(1, 1, 1), PIXELS(9), SHAPE(1, 1, 3), PIXELS(9, 9, 9));
    expect_fit(SHAPE(1, 1, 4), PIXELS(1, 1, 1, 77), SHAPE(1, 1, 2), PIXELS(1, 77));
    expect_fit(SHAPE(1, 1, 2), PIXELS(8, 77), SHAPE(1, 1, 4), PIXELS(8, 8, 8, 77));
    expect_fit(SHAPE(1, 1, 1), PIXELS(8), SHAPE(1, 1, 2), PIXELS(8, 255));
    expect_fit(SHAPE(1, 1, 3), PIXELS(1, 2, 3), SHAPE(1, 1, 4), PIXELS(1, 2, 3, 255));
}

/* What Pillow's Image.alpha_composite makes of a pixel over white and over black; then resizing, of
 * what is composed. */
static void alpha_is_composed_over_a_background(void **state)
{
    (void)state;
    const cn_image_opts white = {.fit = CN_FIT_CROP}, black = {.background = CN_BACKGROUND_BLACK};
    const uint8_t rgba[4] = {200, 100, 50, 64}, ink[4] = {0, 255, 0, 0};
    expect_fit_with(NULL, SHAPE(1, 1, 4), rgba, SHAPE(1, 1, 3), PIXELS(241, 216, 204));
    expect_fit_with(&white, SHAPE(1, 1, 4), rgba, SHAPE(1, 1, 3), PIXELS(241, 216, 204));
    expect_fit_with(&black, SHAPE(1, 1, 4), rgba, SHAPE(1, 1, 3), PIXELS(50, 25, 13));
    expect_fit_with(&white, SHAPE(1, 2, 2), ink, SHAPE(1, 2, 1), PIXELS(0, 255));
    expect_fit_with(&black, SHAPE(1, 2, 2), ink, SHAPE(1, 2, 1), PIXELS(0, 0));
    expect_fit_with(&white, SHAPE(1, 1, 2), PIXELS(8, 255), SHAPE(1, 1, 1), PIXELS(8));
    /* The mean of a black pixel that shows and of one that does not is half of white. */
    expect_fit_with(&(cn_image_opts){.fit = CN_FIT_STRETCH}, SHAPE(1, 2, 2), ink, SHAPE(1, 1, 3),
                    PIXELS(128, 128, 128));
    float x[4] = {0.25f, 0.5f, 1, 0.5f};
    cn_tensor image = cn_tensor_view(CN_DTYPE_F32, 3, SHAPE(1, 2, 2), x), out = {0};
    assert_int_equal(cn_image_fit(&image, SHAPE(1, 2, 1), &black, &out, NULL), CN_OK);
    assert_memory_equal(out.data, ((float[]){0.125f, 0.5f}), 8);
    assert_int_equal(cn_image_fit(&image, SHAPE(1, 2, 1), &white, &out, NULL), CN_OK);
    assert_memory_equal(out.data, ((float[]){0.625f, 1}), 8);
    cn_tensor_free(&out);
}

/* A strip of 2 x 6, of which the middle is asked for, and the whole of it. */
static void proportions_are_kept_by_cropping(void **state)
{
    (void)state;
    const uint8_t wide[12] = {0, 0, 100, 200, 0, 0, 0, 0, 100, 200, 0, 0};
    const cn_image_opts stretch = {.fit = CN_FIT_STRETCH};
    expect_fit_with(NULL, SHAPE(2, 6, 1), wide, SHAPE(2, 2, 1), PIXELS(100, 200, 100, 200));
    expect_fit_with(NULL, SHAPE(6, 2, 1), wide, SHAPE(2, 2, 1), PIXELS(0, 0, 0, 0));
    expect_fit_with(NULL, SHAPE(2, 6, 1), wide, SHAPE(1, 1, 1), PIXELS(150));
    expect_fit_with(NULL, SHAPE(2, 6, 1), wide, SHAPE(1, 3, 1), PIXELS(0, 150, 0));
    expect_fit_with(&stretch, SHAPE(2, 6, 1), wide, SHAPE(2, 2, 1), PIXELS(33, 67, 33, 67));
    /* Bytes that a model takes as floats are not rounded on the way. */
    cn_tensor image = cn_tensor_view(CN_DTYPE_U8, 3, SHAPE(2, 6, 1), (void *)(uintptr_t)wide),
              out = {0};
    const cn_image_opts deep = {.fit = CN_FIT_STRETCH, .deep = true};
    assert_int_equal(cn_image_fit(&image, SHAPE(1, 1, 1), &deep, &out, NULL), CN_OK);
    assert_int_equal(out.dtype, CN_DTYPE_F32);
    assert_float_equal(*(float *)out.data, 50 / 255.0f, 1e-7f);
    cn_tensor_free(&out);
}

static void any_number_of_channels_is_resized(void **state)
{
    (void)state;
    const uint8_t pixels[] = {1, 2, 3, 4, 5, 11, 12, 13, 14, 15};
    expect_fit(SHAPE(1, 2, 5), pixels, SHAPE(1, 2, 5), pixels);
    const cn_image_opts stretch = {.fit = CN_FIT_STRETCH};
    expect_fit_with(&stretch, SHAPE(1, 2, 5), pixels, SHAPE(1, 1, 5), PIXELS(6, 7, 8, 9, 10));
    expect_fit_with(&stretch, SHAPE(2, 1, 5), pixels, SHAPE(1, 1, 5), PIXELS(6, 7, 8, 9, 10));
}

static void a_wrong_fit_is_refused(void **state)
{
    (void)state;
    uint8_t pixels[1025] = {0};
    cn_tensor image = cn_tensor_view(CN_DTYPE_U8, 3, SHAPE(1, 1, 1025), pixels), out = {0};
    cn_error err;
    assert_int_equal(cn_image_fit(&image, SHAPE(1, 1, 1), NULL, &out, &err), CN_ERR_SHAPE);
    assert_says(err, "image (1, 1, 1025)");
    image.shape[2] = 5;
    assert_int_equal(cn_image_fit(&image, SHAPE(1, 1, 3), NULL, &out, &err), CN_ERR_SHAPE);
    assert_says(err, "image (1, 1, 5), expected 3 channels");
    image.shape[2] = 1;
    image.shape[0] = 0;
    assert_int_equal(cn_image_fit(&image, SHAPE(1, 1, 1), NULL, &out, &err), CN_ERR_SHAPE);
    assert_says(err, "image (0, 1, 1)");
    image.shape[0] = 1;
    assert_int_equal(cn_image_fit(&image, SHAPE(1, 0, 1), NULL, &out, &err), CN_ERR_SHAPE);
    assert_int_equal(cn_image_fit(&image, SHAPE(1, 1, 5), NULL, &out, &err), CN_ERR_SHAPE);
    assert_says(err, "image (1, 1, 1), expected 5 channels");
    assert_int_equal(cn_image_fit(&image, SHAPE(1, 1, 1025), NULL, &out, &err), CN_ERR_SHAPE);
    assert_says(err, "to (1, 1, 1025)");
    assert_int_equal(cn_image_fit(NULL, SHAPE(1, 1, 1), NULL, &out, &err), CN_ERR_ARGUMENT);
    assert_null(out.data);
}

/* Saves and loads again; `name` decides the format. */
static void expect_saved(const char *folder, const char *name, int channels)
{
    char path[FILES_PATH];
    uint8_t pixels[3 * 5 * 3];
    cn_error err = {CN_OK, ""};
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 41);
    cn_tensor image = cn_tensor_view(CN_DTYPE_U8, 3, (int[]){3, 5, channels}, pixels), again = {0};
    files_join(path, folder, name);
    if (cn_image_save(&image, path, &err) != CN_OK) fail_msg("%s", err.text);
    if (cn_image_load(&again, path, &err) != CN_OK) fail_msg("%s", err.text);
    assert_memory_equal(again.shape, image.shape, 3 * sizeof *image.shape);
    assert_memory_equal(again.data, pixels, cn_tensor_count(&image));
    cn_tensor_free(&again);
}

static void a_image_is_saved_to_a_file(void **state)
{
    char folder[FILES_PATH], path[FILES_PATH];
    uint8_t pixels[4] = {0};
    float values[4] = {0};
    cn_error err;
    cn_tensor gray = cn_tensor_view(CN_DTYPE_U8, 3, (int[]){2, 2, 1}, pixels);
    cn_tensor two = cn_tensor_view(CN_DTYPE_U8, 3, (int[]){2, 1, 2}, pixels);
    cn_tensor floats = cn_tensor_view(CN_DTYPE_F32, 3, (int[]){2, 2, 1}, values);
    (void)state;
    files_make_folder(folder);
    expect_saved(folder, "gray.pgm", 1);
    expect_saved(folder, "color.ppm", 3);
    expect_saved(folder, "any.pnm", 1);
    expect_saved(folder, "any.pnm", 3);
#ifdef CONVNET_HAVE_PNG
    expect_saved(folder, "gray.png", 1);
    expect_saved(folder, "color.png", 3);
    assert_int_equal(files_count(folder), 5);
#else
    assert_int_equal(cn_image_save(&gray, files_join(path, folder, "gray.png"), &err),
                     CN_ERR_UNSUPPORTED);
    assert_says(err, "without libpng");
    assert_int_equal(files_count(folder), 3);
#endif
    files_join(path, folder, "image.ppm");
    assert_int_equal(cn_image_save(&gray, path, &err), CN_ERR_ARGUMENT);
    assert_says(err, "image.ppm: expected a name that ends in .png, .pnm or .pgm");
    assert_int_equal(cn_image_save(&two, path, &err), CN_ERR_SHAPE);
    assert_says(err, "(2, 1, 2)");
    assert_int_equal(cn_image_save(&floats, path, &err), CN_ERR_SHAPE);
    assert_int_equal(cn_image_save(NULL, path, &err), CN_ERR_ARGUMENT);
    assert_int_equal(cn_image_save(&gray, files_join(path, folder, "no/such.pgm"), &err),
                     CN_ERR_IO);
    files_remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pnm_in_all_its_forms),
        cmocka_unit_test(pnm_lies_are_refused),
        cmocka_unit_test(damaged_pnm_does_no_harm),
#ifdef CONVNET_HAVE_PNG
        cmocka_unit_test(png_in_all_its_forms),
        cmocka_unit_test(damaged_png_is_an_error),
#else
        cmocka_unit_test(png_is_refused_by_name),
#endif
#ifdef CONVNET_HAVE_JPEG
        cmocka_unit_test(jpeg_in_all_its_forms),
        cmocka_unit_test(plain_cmyk_is_inverted),
        cmocka_unit_test(damaged_jpeg_does_no_harm),
#else
        cmocka_unit_test(jpeg_is_refused_by_name),
#endif
        cmocka_unit_test(a_image_is_loaded_from_a_file),
        cmocka_unit_test(a_image_is_saved_to_a_file),
        cmocka_unit_test(shrinking_takes_the_mean_over_the_area),
        cmocka_unit_test(growing_is_linear_between_pixels),
        cmocka_unit_test(channels_are_converted),
        cmocka_unit_test(alpha_is_composed_over_a_background),
        cmocka_unit_test(proportions_are_kept_by_cropping),
        cmocka_unit_test(any_number_of_channels_is_resized),
        cmocka_unit_test(a_wrong_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
