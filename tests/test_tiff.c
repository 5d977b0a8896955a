/* TIFF: samples, layouts and packings, true and damaged; without libtiff, refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "decoding.h"

#ifdef CONVNET_HAVE_TIFF

#include "orientations.h"
#include "trees.h"

#include <math.h>
#include <tiffio.h>

/* How a file is written. Zeros are the defaults: bytes, unsigned, gray, one strip, not packed. */
typedef struct form {
    int width, height, bits, samples;
    int format, photometric, planar, packing, orientation;
    int rows;   /* of a strip */
    int tile;   /* its side */
    int extra;  /* the kind of the last sample; 1 + EXTRASAMPLE_... */
    int extras; /* how many of the samples are extra */
    const char *mode;
    const uint16_t *palette; /* three times as many as there are colors */
} form;

static void set_fields(TIFF *tiff, const form *f)
{
    uint16_t kinds[16] = {0};
    kinds[0] = (uint16_t)(f->extra ? f->extra - 1 : 0);
    TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, f->width);
    TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, f->height);
    TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, f->bits ? f->bits : 8);
    TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, f->samples ? f->samples : 1);
    TIFFSetField(tiff, TIFFTAG_SAMPLEFORMAT, f->format ? f->format : SAMPLEFORMAT_UINT);
    TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC,
                 f->photometric ? f->photometric - 1 : PHOTOMETRIC_MINISBLACK);
    TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, f->planar ? f->planar : PLANARCONFIG_CONTIG);
    TIFFSetField(tiff, TIFFTAG_COMPRESSION, f->packing ? f->packing : COMPRESSION_NONE);
    if (f->orientation) TIFFSetField(tiff, TIFFTAG_ORIENTATION, f->orientation);
    if (f->extras) TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, f->extras, kinds);
    if (f->palette) {
        size_t colors = (size_t)1 << f->bits;
        TIFFSetField(tiff, TIFFTAG_COLORMAP, f->palette, f->palette + colors,
                     f->palette + 2 * colors);
    }
    if (f->tile) {
        TIFFSetField(tiff, TIFFTAG_TILEWIDTH, f->tile);
        TIFFSetField(tiff, TIFFTAG_TILELENGTH, f->tile);
    } else {
        TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, f->rows ? f->rows : f->height);
    }
}

/* A tile of whole bytes per sample, from the image's rows, the rest of it zeros. */
static void write_tiles(TIFF *tiff, const form *f, const uint8_t *pixels, size_t pixel)
{
    uint8_t tile[4096];
    for (int top = 0; top < f->height; top += f->tile)
        for (int left = 0; left < f->width; left += f->tile) {
            memset(tile, 0, sizeof tile);
            for (int y = top; y < top + f->tile && y < f->height; y++)
                for (int x = left; x < left + f->tile && x < f->width; x++)
                    memcpy(tile + (size_t)((y - top) * f->tile + x - left) * pixel,
                           pixels + (size_t)(y * f->width + x) * pixel, pixel);
            TIFFWriteTile(tiff, tile, (uint32_t)left, (uint32_t)top, 0, 0);
        }
}

/* The file; `pixels` are rows, of the channels one after the other where these are apart. Free it. */
static uint8_t *make_tiff(form f, const void *pixels, size_t *size)
{
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    TIFF *tiff = TIFFOpen(files_join(path, folder, "x.tif"), f.mode ? f.mode : "w");
    assert_non_null(tiff);
    set_fields(tiff, &f);
    size_t bits = (size_t)(f.bits ? f.bits : 8), samples = (size_t)(f.samples ? f.samples : 1);
    bool separate = f.planar == PLANARCONFIG_SEPARATE;
    size_t row = ((size_t)f.width * bits * (separate ? 1 : samples) + 7) / 8;
    if (f.tile) {
        write_tiles(tiff, &f, pixels, samples * bits / 8);
    } else {
        const uint8_t *from = pixels;
        uint8_t line[256];
        for (size_t s = 0; s < (separate ? samples : 1); s++)
            for (int y = 0; y < f.height; y++, from += row) {
                assert_true(row <= sizeof line);
                memcpy(line, from, row); /* which writing may change */
                assert_int_equal(TIFFWriteScanline(tiff, line, (uint32_t)y, (uint16_t)s), 1);
            }
    }
    TIFFClose(tiff);
    uint8_t *bytes = files_read(path, size);
    files_remove_folder(folder);
    return bytes;
}

static void expect_bytes(form f, const void *pixels, int channels, const uint8_t *want)
{
    size_t size;
    uint8_t *bytes = make_tiff(f, pixels, &size);
    expect_image(bytes, size, (int[]){f.height, f.width, channels}, want);
    free(bytes);
}

static void expect_floats(form f, const void *pixels, int channels, const float *want)
{
    size_t size;
    cn_tensor t = {0};
    cn_error err = {CN_OK, ""};
    uint8_t *bytes = make_tiff(f, pixels, &size);
    if (cn_image_decode(&t, "seed", bytes, size, CN_IMAGE_AS_STORED, &err) != CN_OK)
        fail_msg("%s", err.text);
    assert_int_equal(t.dtype, CN_DTYPE_F32);
    assert_int_equal(t.shape[2], channels);
    for (size_t i = 0; i < cn_tensor_count(&t); i++)
        assert_float_equal(((float *)t.data)[i], want[i], 1e-7f);
    expect_form(bytes, size, "x.tif", f.height, f.width, channels >= 3, true,
                channels > 3 || f.extras ? channels : 0);
    cn_tensor_free(&t);
    free(bytes);
}

#define BYTES(...)  ((const uint8_t[]){__VA_ARGS__})
#define FLOATS(...) ((const float[]){__VA_ARGS__})
enum { RGB = 1 + PHOTOMETRIC_RGB, LIGHT = 1 + PHOTOMETRIC_MINISWHITE };

static void samples_of_every_type(void **state)
{
    (void)state;
    const form one = {.width = 3, .height = 1, .bits = 1},
               two = {.width = 3, .height = 1, .bits = 2};
    const form four = {.width = 3, .height = 1, .bits = 4}, eight = {.width = 3, .height = 1};
    expect_bytes(one, BYTES(0xa0), 1, BYTES(255, 0, 255));
    expect_bytes(two, BYTES(0x1c), 1, BYTES(0, 85, 255));
    expect_bytes(four, BYTES(0x1f, 0x20), 1, BYTES(17, 255, 34));
    expect_bytes(eight, BYTES(1, 2, 255), 1, BYTES(1, 2, 255));
    const form six = {.width = 3, .height = 1, .bits = 6},
               odd = {.width = 2, .height = 1, .bits = 12};
    expect_bytes(six, BYTES(0x00, 0x1f, 0xff), 1, BYTES(0, 4, 255));
    expect_floats(odd, BYTES(0x12, 0x3f, 0xff), 1, FLOATS(0x123 / 4095.0f, 1));
    form f = odd;
    f.format = SAMPLEFORMAT_INT;
    expect_floats(f, BYTES(0x80, 0x07, 0xff), 1, FLOATS(0, 1));
    f.mode = "wb"; /* bits have no other order */
    expect_floats(f, BYTES(0x80, 0x07, 0xff), 1, FLOATS(0, 1));
    f = eight;
    f.photometric = LIGHT;
    expect_bytes(f, BYTES(1, 2, 255), 1, BYTES(254, 253, 0));
    f = eight;
    f.format = SAMPLEFORMAT_INT;
    expect_bytes(f, BYTES(0x80, 0, 0x7f), 1, BYTES(0, 128, 255));
    f.bits = 16;
    const int16_t signs[3] = {INT16_MIN, 0, INT16_MAX};
    expect_floats(f, signs, 1, FLOATS(0, 32768.0f / 65535, 1));
    expect_bytes(f, signs, 1, BYTES(0, 128, 255));
    f.format = SAMPLEFORMAT_UINT;
    const uint16_t shorts[3] = {1, 257, 65535};
    expect_floats(f, shorts, 1, FLOATS(1.0f / 65535, 257.0f / 65535, 1));
    expect_bytes(f, shorts, 1, BYTES(0, 1, 255));
    f.mode = "wb"; /* the other order of bytes */
    expect_floats(f, shorts, 1, FLOATS(1.0f / 65535, 257.0f / 65535, 1));
    f.mode = "w8"; /* BigTIFF */
    expect_floats(f, shorts, 1, FLOATS(1.0f / 65535, 257.0f / 65535, 1));
    f.mode = NULL;
    f.bits = 32;
    const uint32_t words[3] = {0, 1u << 31, UINT32_MAX};
    expect_floats(f, words, 1, FLOATS(0, 0.5f, 1));
}

static void floats_are_of_0_to_1(void **state)
{
    (void)state;
    form f = {.width = 3, .height = 1, .bits = 32, .format = SAMPLEFORMAT_IEEEFP};
    const float floats[3] = {0, 0.3f, 1.01f};
    expect_floats(f, floats, 1, floats);
    expect_bytes(f, floats, 1, BYTES(0, 77, 255));
    f.bits = 64;
    expect_floats(f, (const double[]){0.25, 0.5, 1}, 1, FLOATS(0.25f, 0.5f, 1));
    f.bits = 16;
    expect_floats(f, (const uint16_t[]){0x3400, 0x3800, 0x3c00}, 1, FLOATS(0.25f, 0.5f, 1));
    f.bits = 32;
    const float wrong[3][3] = {{0, 0, 255}, {0, NAN, 1}, {-9999, 0, 1}};
    const char *said[3] = {"a float of 255, expected 0 to 1", "a float of nan", "a float of -9999"};
    for (int i = 0; i < 3; i++) {
        size_t size;
        uint8_t *bytes = make_tiff(f, wrong[i], &size);
        if (i == 1) /* whatever the sign that a NaN is printed with */
            expect_failure(bytes, size, CN_ERR_UNSUPPORTED, "nan, expected 0 to 1");
        else
            expect_failure(bytes, size, CN_ERR_UNSUPPORTED, said[i]);
        free(bytes);
    }
}

static void expect_refused(const char *folder, const char *options, const char *part)
{
    char spec[2 * FILES_PATH];
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    snprintf(spec, sizeof spec, "folder:%s%s", folder, options);
    assert_int_not_equal(cn_dataset_load(&data, spec, CN_SUBSET_TRAIN, NULL, &err), CN_OK);
    if (!strstr(err.text, part)) fail_msg("%s", err.text);
}

/* Image 1 of a set, as numbers of 0 to 1. */
static void expect_second(const cn_dataset *data, const float want[4])
{
    float x[4];
    int32_t label;
    assert_int_equal(cn_dataset_batch(data, (int[]){1}, 1, NULL, NULL, x, &label, NULL), CN_OK);
    for (int i = 0; i < 4; i++) assert_float_equal(x[i], want[i], 1e-7f);
}

/* Elevations, say: the spec tells what black and white are, and a model remembers it. */
static void floats_may_have_a_range(void **state)
{
    char folder[FILES_PATH], path[FILES_PATH], spec[2 * FILES_PATH];
    static const float want[4] = {0, 0.25f, 0.5f, 1.05f};
    cn_error err = {CN_OK, ""};
    cn_dataset *data = NULL, *like = NULL;
    cn_model *model = NULL, *read = NULL;
    cn_tensor X = {0};
    (void)state;
    files_make_folder(folder);
    for (int i = 0; i < 4; i++) {
        const form f = {.width = 2, .height = 2, .bits = 32, .format = SAMPLEFORMAT_IEEEFP};
        const float pixels[4] = {-100, 0, 100, i == 1 ? 320.0f : 300.0f};
        char name[32];
        size_t size;
        uint8_t *bytes = make_tiff(f, pixels, &size);
        snprintf(name, sizeof name, "%c/%d.tif", 'a' + i / 2, i);
        put(folder, name, bytes, size);
        free(bytes);
    }
    expect_refused(folder, "", "a float of -100, expected 0 to 1, black to white; range=LOW..HIGH");
    expect_refused(folder, ",range=0..300", "a float of -100, expected 0 to 300");
    snprintf(spec, sizeof spec, "folder:%s,range=-100..300", folder);
    if (cn_dataset_load(&data, spec, CN_SUBSET_TRAIN, NULL, &err) != CN_OK)
        fail_msg("%s", err.text);
    expect_second(data, want);

    assert_int_equal(cn_model_parse(&model, "dense 2", (int[]){2, 2, 1}, 2, 1, NULL), CN_OK);
    const cn_image_opts opts = cn_dataset_image_opts(data);
    assert_int_equal(cn_model_set_image_opts(model, &opts, NULL), CN_OK);
    files_join(path, folder, "m.safetensors");
    assert_int_equal(cn_model_save(model, path, &err), CN_OK);
    assert_int_equal(cn_model_load(&read, path, &err), CN_OK);
    snprintf(spec, sizeof spec, "folder:%s", folder);
    const cn_dataset_opts of_model = {.model = read};
    assert_int_equal(cn_dataset_load(&like, spec, CN_SUBSET_TRAIN, &of_model, &err), CN_OK);
    expect_second(like, want);
    files_join(path, folder, "a/1.tif");
    assert_int_equal(cn_image_load_for(read, path, &X, &err), CN_OK);
    for (int i = 0; i < 4; i++) assert_float_equal(((float *)X.data)[i], want[i], 1e-7f);
    cn_tensor_free(&X);
    cn_model_free(model);
    cn_model_free(read);
    cn_dataset_free(data);
    cn_dataset_free(like);
    remove_tree(folder);

    files_make_folder(folder);
    put_gray(folder, "a/1.pgm", 2, 2, 7);
    expect_refused(folder, ",range=0..300", "floats, which none of the images has");
    remove_tree(folder);
}

static void channels_of_every_kind(void **state)
{
    (void)state;
    const uint8_t twelve[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    form f = {.width = 2, .height = 2, .samples = 3, .photometric = RGB};
    expect_bytes(f, twelve, 3, twelve);
    f.planar = PLANARCONFIG_SEPARATE;
    expect_bytes(f, twelve, 3, BYTES(1, 5, 9, 2, 6, 10, 3, 7, 11, 4, 8, 12));
    f = (form){.width = 2, .height = 1, .samples = 4, .photometric = RGB, .extras = 1, .extra = 3};
    const uint8_t alpha[8] = {1, 2, 3, 4, 5, 6, 7, 0};
    expect_bytes(f, alpha, 4, alpha);
    f.extra = 1 + EXTRASAMPLE_ASSOCALPHA; /* multiplied by it */
    expect_bytes(f, BYTES(10, 20, 30, 51, 0, 0, 0, 0), 4, BYTES(50, 100, 150, 51, 0, 0, 0, 0));
    f = (form){.width = 1, .height = 2, .samples = 6, .extras = 5};
    expect_bytes(f, twelve, 6, twelve);
    f.planar = PLANARCONFIG_SEPARATE;
    expect_bytes(f, twelve, 6, BYTES(1, 3, 5, 7, 9, 11, 2, 4, 6, 8, 10, 12));
    f = (form){.width = 1, .height = 1, .samples = 5, .extras = 4, .bits = 16};
    expect_floats(f, (const uint16_t[]){0, 1, 2, 3, 65535}, 5,
                  FLOATS(0, 1.0f / 65535, 2.0f / 65535, 3.0f / 65535, 1));
    f = (form){.width = 1, .height = 1, .samples = 4, .extras = 1, .bits = 16, .photometric = RGB};
    expect_floats(f, (const uint16_t[]){0, 0, 65535, 13107}, 4, FLOATS(0, 0, 1, 0.2f));
    f = (form){.width = 2, .height = 1, .samples = 4, .photometric = 1 + PHOTOMETRIC_SEPARATED};
    expect_bytes(f, BYTES(0, 255, 0, 0, 0, 51, 255, 51), 3, BYTES(255, 0, 255, 204, 163, 0));
    const uint16_t palette[12] = {0x0102, 0xff00, 0, 0, 0x0300, 0, 0, 0, 0, 0x8080, 0, 0};
    f = (form){.width = 3,
               .height = 1,
               .bits = 2,
               .palette = palette,
               .photometric = 1 + PHOTOMETRIC_PALETTE};
    expect_bytes(f, BYTES(0x14), 3, BYTES(1, 3, 0, 255, 0, 128, 255, 0, 128));
}

static void strips_tiles_and_packings(void **state)
{
    (void)state;
    static const int packings[] = {COMPRESSION_NONE, COMPRESSION_LZW, COMPRESSION_ADOBE_DEFLATE,
                                   COMPRESSION_PACKBITS};
    enum { HEIGHT = 21, WIDTH = 19 };
    uint8_t pixels[HEIGHT * WIDTH * 3];
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * i / 7);
    for (int i = 0; i < 4; i++)
        for (int layout = 0; layout < 3; layout++) {
            form f = {.width = WIDTH,
                      .height = HEIGHT,
                      .samples = 3,
                      .photometric = RGB,
                      .packing = packings[i],
                      .rows = layout == 1 ? 4 : 0,
                      .tile = layout == 2 ? 16 : 0};
            expect_bytes(f, pixels, 3, pixels);
        }
}

static void tiff_is_turned_as_it_says(void **state)
{
    (void)state;
    for (int o = 1; o <= 8; o++) {
        size_t size;
        form f = {.width = 3, .height = 2, .orientation = o};
        uint8_t *bytes = make_tiff(f, stored, &size);
        expect_shown(bytes, size, (uint32_t)o, 1, 1);
        expect_form(bytes, size, "x.tif", o < 5 ? 2 : 3, o < 5 ? 3 : 2, false, false, 0);
        free(bytes);
    }
}

static void expect_mask(form f, const void *pixels, const uint8_t want[3])
{
    size_t size;
    cn_tensor t = {0};
    cn_error err = {CN_OK, ""};
    uint8_t *bytes = make_tiff(f, pixels, &size);
    if (cn_image_decode(&t, "seed", bytes, size, CN_IMAGE_INDICES, &err) != CN_OK)
        fail_msg("%s", err.text);
    assert_int_equal(t.shape[2], 1);
    assert_memory_equal(t.data, want, 3);
    cn_tensor_free(&t);
    free(bytes);
}

static void masks_are_as_they_are_stored(void **state)
{
    (void)state;
    const uint16_t palette[48] = {7};
    form f = {.width = 3,
              .height = 1,
              .bits = 4,
              .palette = palette,
              .photometric = 1 + PHOTOMETRIC_PALETTE};
    expect_mask(f, BYTES(0x12, 0x30), BYTES(1, 2, 3));
    f = (form){.width = 3, .height = 1, .bits = 1, .photometric = LIGHT};
    expect_mask(f, BYTES(0xa0), BYTES(1, 0, 1));
    f = (form){.width = 3, .height = 1, .bits = 16};
    expect_mask(f, (const uint16_t[]){1, 2, 255}, BYTES(1, 2, 255));
    f = (form){.width = 3, .height = 1, .bits = 32, .format = SAMPLEFORMAT_INT};
    expect_mask(f, (const int32_t[]){1, 0, 255}, BYTES(1, 0, 255));
    f = (form){.width = 3, .height = 1, .bits = 32, .format = SAMPLEFORMAT_IEEEFP};
    expect_mask(f, FLOATS(1, 2, 3), BYTES(1, 2, 3));
    size_t size;
    cn_tensor t = {0};
    cn_error err = {CN_OK, ""};
    uint8_t *bytes = make_tiff(f, FLOATS(1, 2.5f, 3), &size);
    assert_int_equal(cn_image_decode(&t, "seed", bytes, size, CN_IMAGE_INDICES, &err),
                     CN_ERR_FORMAT);
    assert_says(err, "a mask with a value of 2.5");
    free(bytes);
    if (!TIFFIsCODECConfigured(COMPRESSION_JPEG)) return;
    static const uint8_t plain[8 * 8];
    bytes = make_tiff((form){.width = 8, .height = 8, .packing = COMPRESSION_JPEG}, plain, &size);
    assert_int_equal(cn_image_decode(&t, "seed", bytes, size, CN_IMAGE_INDICES, &err),
                     CN_ERR_UNSUPPORTED);
    assert_says(err, "a mask as JPEG in TIFF, which changes values");
    free(bytes);
}

/* ---- Damage */

/* The value of an entry of the directory, in a little-endian file. */
static void set_entry(uint8_t *bytes, uint32_t tag, uint32_t value)
{
    size_t at = bytes[4] | (size_t)bytes[5] << 8;
    int count = bytes[at];
    for (int i = 0; i < count; i++) {
        uint8_t *entry = bytes + at + 2 + 12 * (size_t)i;
        if ((entry[0] | (uint32_t)entry[1] << 8) != tag) continue;
        put_number(entry + 2, 4, 2, false);
        put_number(entry + 8, value, 4, false);
        return;
    }
    fail_msg("no entry %u", tag);
}

static void refuse_entry(form f, uint32_t tag, uint32_t value, cn_status status, const char *part)
{
    size_t size;
    const uint8_t pixels[256] = {0};
    f.mode = "wl";
    uint8_t *bytes = make_tiff(f, pixels, &size);
    set_entry(bytes, tag, value);
    expect_failure(bytes, size, status, part);
    free(bytes);
}

static void lies_are_refused(void **state)
{
    (void)state;
    const form gray = {.width = 3, .height = 2}, tiles = {.width = 3, .height = 2, .tile = 16};
    form packed = gray;
    packed.packing = COMPRESSION_LZW;
    refuse_entry(gray, TIFFTAG_IMAGEWIDTH, 0, CN_ERR_FORMAT, "TIFF: ");
    refuse_entry(gray, TIFFTAG_IMAGEWIDTH, 9999999, CN_ERR_FORMAT, "in a file that can hold");
    refuse_entry(gray, TIFFTAG_IMAGEWIDTH, UINT32_MAX, CN_ERR_UNSUPPORTED, "at most 268435456");
    refuse_entry(packed, TIFFTAG_IMAGEWIDTH, 99999999, CN_ERR_FORMAT, "in a file that can hold");
    refuse_entry(tiles, TIFFTAG_TILEWIDTH, 1 << 28, CN_ERR_FORMAT, "in tiles of 16 x 268435456");
    refuse_entry(gray, TIFFTAG_SAMPLESPERPIXEL, 2000, CN_ERR_UNSUPPORTED, "channels of 2000");
    refuse_entry(gray, TIFFTAG_BITSPERSAMPLE, 24, CN_ERR_UNSUPPORTED, "samples of bits 24");
    refuse_entry(gray, TIFFTAG_PHOTOMETRIC, PHOTOMETRIC_CIELAB, CN_ERR_UNSUPPORTED,
                 "a photometric interpretation of 8");
    refuse_entry(gray, TIFFTAG_STRIPOFFSETS, 1 << 20, CN_ERR_FORMAT, "TIFF: ");
    refuse_entry(packed, TIFFTAG_STRIPBYTECOUNTS, 2, CN_ERR_FORMAT, "TIFF: ");
    expect_failure("II*\0\xff\0\0\0", 8, CN_ERR_FORMAT, "TIFF: ");
}

/* A directory that is its own next one, and many that follow: the first one counts. */
static void chains_of_directories_end(void **state)
{
    (void)state;
    size_t size;
    const uint8_t pixels[6] = {1, 2, 3, 4, 5, 6};
    uint8_t *bytes = make_tiff((form){.width = 3, .height = 2, .mode = "wl"}, pixels, &size);
    size_t at = bytes[4] | (size_t)bytes[5] << 8, next = at + 2 + 12 * (size_t)bytes[at];
    memcpy(bytes + next, bytes + 4, 4);
    expect_image(bytes, size, (int[]){2, 3, 1}, pixels);
    free(bytes);
}

static void damage_does_no_harm(void **state)
{
    (void)state;
    const uint8_t pixels[256] = {1, 2, 3, 4, 5, 6};
    const form forms[] = {
        {.width = 3, .height = 2, .samples = 3, .photometric = RGB},
        {.width = 3, .height = 2, .samples = 6, .extras = 5, .planar = PLANARCONFIG_SEPARATE},
        {.width = 3, .height = 2, .tile = 16, .packing = COMPRESSION_ADOBE_DEFLATE},
        {.width = 3, .height = 2, .rows = 1, .packing = COMPRESSION_LZW},
    };
    for (int i = 0; i < 4; i++) {
        size_t size;
        uint8_t *bytes = make_tiff(forms[i], pixels, &size);
        refuse_cut(bytes, size - 4); /* the last four lead to the next image */
        survive_damage(bytes, size, size);
        free(bytes);
    }
}

#else

static void tiff_is_refused_by_name(void **state)
{
    (void)state;
    expect_failure("II*\0\10\0\0\0", 8, CN_ERR_UNSUPPORTED, "built without libtiff");
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef CONVNET_HAVE_TIFF
        cmocka_unit_test(samples_of_every_type),        cmocka_unit_test(floats_are_of_0_to_1),
        cmocka_unit_test(floats_may_have_a_range),      cmocka_unit_test(channels_of_every_kind),
        cmocka_unit_test(strips_tiles_and_packings),    cmocka_unit_test(tiff_is_turned_as_it_says),
        cmocka_unit_test(masks_are_as_they_are_stored), cmocka_unit_test(lies_are_refused),
        cmocka_unit_test(chains_of_directories_end),    cmocka_unit_test(damage_does_no_harm),
#else
        cmocka_unit_test(tiff_is_refused_by_name),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
