/* Images that say which way up they are: Exif in JPEG and PNG, true and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "orientations.h"

#ifdef CONVNET_HAVE_PNG
#include <png.h>
#endif
#ifdef CONVNET_HAVE_JPEG
#include <jpeglib.h>
#endif

/* ---- Exif */

static int read_exif(const uint8_t *bytes, size_t size)
{
    uint8_t *exact = files_exact(bytes, size);
    int orientation = cn_exif_orientation(exact, size);
    free(exact);
    return orientation;
}

static void exif_is_read_in_both_orders_of_bytes(void **state)
{
    (void)state;
    uint8_t exif[EXIF];
    for (uint32_t o = 0; o < 12; o++)
        for (int form = 0; form < 4; form++) {
            make_exif(exif, o, form & 1, form & 2 ? 4 : 3);
            assert_int_equal(read_exif(exif, EXIF), o >= 1 && o <= 8 ? (int)o : 1);
        }
    make_exif(exif, 6, true, 7); /* bytes of no meaning */
    assert_int_equal(read_exif(exif, EXIF), 1);
    make_exif(exif, 6, false, 3);
    put_number(exif + 16 + 12 + 4, 2, 4, false); /* two orientations */
    assert_int_equal(read_exif(exif, EXIF), 1);
}

/* Cut anywhere, with any bit flipped, or with an offset that leads out of it. */
static void damaged_exif_says_nothing(void **state)
{
    (void)state;
    uint8_t exif[EXIF];
    for (int big = 0; big < 2; big++) {
        make_exif(exif, 6, big, 3);
        for (size_t cut = 0; cut < EXIF; cut++)
            assert_int_equal(read_exif(exif, cut), cut < 38 ? 1 : 6); /* 16 + 12 + 10 */
        for (size_t bit = 0; bit < 8 * EXIF; bit++) {
            exif[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_in_range(read_exif(exif, EXIF), 1, 8);
            exif[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        const uint32_t offsets[] = {0, EXIF - 2, EXIF - 1, EXIF, EXIF + 1, 0x7fffffff, 0xffffffff};
        for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
            put_number(exif + 4, offsets[i], 4, big);
            assert_int_equal(read_exif(exif, EXIF), 1);
        }
        put_number(exif + 4, 14, 4, big);
        put_number(exif + 14, 0xffff, 2, big); /* more entries than there is room for */
        assert_int_equal(read_exif(exif, EXIF), 6);
        put_number(exif + 16 + 12, 0x113, 2, big);
        assert_int_equal(read_exif(exif, EXIF), 1);
    }
}

/* ---- In images */

#ifdef CONVNET_HAVE_PNG

typedef struct buffer {
    uint8_t at[1024];
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

static buffer make_png(int depth)
{
    buffer b = {{0}, 0};
    uint8_t pixels[12];
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    for (int i = 0; i < 12; i++) pixels[i] = stored[depth == 16 ? i / 2 : i % 6];
    png_bytep rows[2] = {pixels, pixels + 3 * depth / 8};
    png_set_write_fn(png, &b, put_png, keep_png);
    png_set_IHDR(png, info, 3, 2, depth, PNG_COLOR_TYPE_GRAY, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    png_write_image(png, rows);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return b;
}

/* Puts a chunk eXIf behind IHDR (byte 33), or before IEND, which ends a PNG with 12 bytes. */
static void add_exif(buffer *b, const uint8_t *exif, size_t size, bool behind)
{
    uint8_t chunk[EXIF + 12];
    uint32_t crc = 0xffffffffu;
    size_t at = behind ? b->size - 12 : 33;
    put_number(chunk, (uint32_t)size, 4, true);
    memcpy(chunk + 4, "eXIf", 4);
    if (size) memcpy(chunk + 8, exif, size);
    for (size_t i = 4; i < size + 8; i++) {
        crc ^= chunk[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    put_number(chunk + 8 + size, ~crc, 4, true);
    memmove(b->at + at + size + 12, b->at + at, b->size - at);
    memcpy(b->at + at, chunk, size + 12);
    b->size += size + 12;
}

static void png_is_turned_as_exif_says(void **state)
{
    (void)state;
    uint8_t exif[EXIF];
    for (uint32_t o = 1; o <= 8; o++)
        for (int form = 0; form < 8; form++) {
            buffer b = make_png(form & 4 ? 16 : 8);
            make_exif(exif, o, form & 1, 3);
            add_exif(&b, exif, EXIF, form & 2);
            expect_shown(b.at, b.size, o, 1, 1);
            /* So does what is known of it without decoding. */
            char folder[FILES_PATH], path[FILES_PATH];
            cn_image_form found = {.rows = 0};
            cn_tensor image = {0};
            files_make_folder(folder);
            files_write(files_join(path, folder, "a.png"), b.at, b.size);
            assert_true(cn_image_find_form(&found, path));
            assert_int_equal(cn_image_load(&image, path, NULL), CN_OK);
            assert_int_equal(found.rows, image.shape[0]);
            assert_int_equal(found.columns, image.shape[1]);
            cn_tensor_free(&image);
            files_remove_folder(folder);
        }
}

static void damaged_exif_in_a_png_does_no_harm(void **state)
{
    (void)state;
    uint8_t exif[EXIF];
    make_exif(exif, 6, true, 3);
    for (size_t size = 0; size < 38; size++) {
        buffer b = make_png(8);
        add_exif(&b, exif, size, size % 2);
        expect_shown(b.at, b.size, 1, 1, 1);
    }
}

#endif

#ifdef CONVNET_HAVE_JPEG

/* Each pixel a block of 8 x 8, which JPEG keeps: it has a mean and nothing else. */
static uint8_t *make_jpeg(const uint8_t *exif, size_t exif_size, unsigned long *size)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr manager;
    uint8_t row[24], app1[EXIF + 6] = "Exif", *out = NULL;
    JSAMPROW rows[1] = {row};
    jpeg.err = jpeg_std_error(&manager);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &out, size);
    jpeg.image_width = 24;
    jpeg.image_height = 16;
    jpeg.in_color_space = JCS_GRAYSCALE;
    jpeg.input_components = 1;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    jpeg_start_compress(&jpeg, TRUE);
    memcpy(app1 + 6, exif, exif_size);
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1, (const JOCTET *)"http://ns.adobe.com/xap/1.0/", 29);
    jpeg_write_marker(&jpeg, JPEG_APP0 + 1, app1, (unsigned)(exif_size + 6));
    for (int y = 0; y < 16; y++) {
        for (int x = 0; x < 24; x++) row[x] = stored[y / 8 * 3 + x / 8];
        jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return out;
}

static void jpeg_is_turned_as_exif_says(void **state)
{
    (void)state;
    uint8_t exif[EXIF];
    for (uint32_t o = 1; o <= 8; o++)
        for (int big = 0; big < 2; big++) {
            unsigned long size = 0;
            make_exif(exif, o, big, 3);
            uint8_t *bytes = make_jpeg(exif, EXIF, &size);
            expect_shown(bytes, size, o, 8, 1);
            free(bytes);
        }
}

static void damaged_exif_in_a_jpeg_does_no_harm(void **state)
{
    (void)state;
    uint8_t exif[EXIF];
    make_exif(exif, 6, false, 3);
    for (size_t cut = 0; cut < 38; cut++) {
        unsigned long size = 0;
        uint8_t *bytes = make_jpeg(exif, cut, &size);
        expect_shown(bytes, size, 1, 8, 1);
        free(bytes);
    }
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exif_is_read_in_both_orders_of_bytes),
        cmocka_unit_test(damaged_exif_says_nothing),
#ifdef CONVNET_HAVE_PNG
        cmocka_unit_test(png_is_turned_as_exif_says),
        cmocka_unit_test(damaged_exif_in_a_png_does_no_harm),
#endif
#ifdef CONVNET_HAVE_JPEG
        cmocka_unit_test(jpeg_is_turned_as_exif_says),
        cmocka_unit_test(damaged_exif_in_a_jpeg_does_no_harm),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
