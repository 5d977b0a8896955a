/* GIF: the first frame, true and damaged; without giflib, refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "decoding.h"

#ifdef CONVNET_HAVE_GIF

#include <gif_lib.h>

typedef struct buffer {
    uint8_t at[4096];
    size_t size;
} buffer;

static int write_bytes(GifFileType *gif, const GifByteType *bytes, int count)
{
    buffer *b = gif->UserData;
    assert_true(b->size + (size_t)count <= sizeof b->at);
    memcpy(b->at + b->size, bytes, (size_t)count);
    b->size += (size_t)count;
    return count;
}

typedef struct frame {
    int left, top, width, height;
    bool interlaced;
    int transparent; /* -1: none */
    const uint8_t *indices;
} frame;

static void put_frame(GifFileType *gif, const frame *f)
{
    static const int begins[4] = {0, 4, 2, 1}, steps[4] = {8, 8, 4, 2};
    const uint8_t graphics[4] = {1, 0, 0, (uint8_t)f->transparent};
    uint8_t line[64];
    EGifPutComment(gif, "no pixel");
    if (f->transparent >= 0) EGifPutExtension(gif, GRAPHICS_EXT_FUNC_CODE, 4, graphics);
    EGifPutImageDesc(gif, f->left, f->top, f->width, f->height, f->interlaced, NULL);
    for (int pass = 0; pass < (f->interlaced ? 4 : 1); pass++)
        for (int y = f->interlaced ? begins[pass] : 0; y < f->height;
             y += f->interlaced ? steps[pass] : 1) {
            memcpy(line, f->indices + y * f->width, (size_t)f->width);
            assert_int_equal(EGifPutLine(gif, line, f->width), GIF_OK);
        }
}

/* Frames on a canvas, of a palette of four. */
static buffer make_gif(int width, int height, const GifColorType palette[4], const frame *frames,
                       int count)
{
    buffer b = {.size = 0};
    int code = 0;
    GifFileType *gif = EGifOpen(&b, write_bytes, &code);
    ColorMapObject *map = GifMakeMapObject(4, palette);
    assert_non_null(gif);
    assert_non_null(map);
    EGifSetGifVersion(gif, true);
    assert_int_equal(EGifPutScreenDesc(gif, width, height, 2, 3, map), GIF_OK);
    for (int i = 0; i < count; i++) put_frame(gif, &frames[i]);
    assert_int_equal(EGifCloseFile(gif, &code), GIF_OK);
    GifFreeMapObject(map);
    return b;
}

static const GifColorType colors[4] = {{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}};
static const GifColorType grays[4] = {{1, 1, 1}, {4, 4, 4}, {7, 7, 7}, {10, 10, 10}};
static const uint8_t six[6] = {0, 1, 2, 3, 1, 0};

#define EXPECT(b, height, width, channels, ...)                            \
    expect_image((b).at, (b).size, (const int[]){height, width, channels}, \
                 (const uint8_t[]){__VA_ARGS__})

static void gif_in_its_forms(void **state)
{
    (void)state;
    const frame plain = {0, 0, 3, 2, false, -1, six}, clear = {0, 0, 3, 2, false, 1, six};
    buffer b = make_gif(3, 2, colors, &plain, 1);
    EXPECT(b, 2, 3, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 4, 5, 6, 1, 2, 3);
    expect_form(b.at, b.size, "x.gif", 2, 3, true, false, 0);
    refuse_cut(b.at, b.size - 1); /* what ends the file may be missing */
    b = make_gif(3, 2, grays, &plain, 1);
    EXPECT(b, 2, 3, 1, 1, 4, 7, 10, 4, 1);
    expect_form(b.at, b.size, "x.gif", 2, 3, false, false, 0);
    b = make_gif(3, 2, grays, &clear, 1);
    EXPECT(b, 2, 3, 2, 1, 255, 4, 0, 7, 255, 10, 255, 4, 0, 1, 255);
    b = make_gif(3, 2, colors, &clear, 1);
    EXPECT(b, 2, 3, 4, 1, 2, 3, 255, 4, 5, 6, 0, 7, 8, 9, 255, 10, 11, 12, 255, 4, 5, 6, 0, 1, 2, 3,
           255);
}

static void rows_may_be_interlaced(void **state)
{
    (void)state;
    uint8_t rows[11], want[11];
    for (int i = 0; i < 11; i++) {
        rows[i] = (uint8_t)(i * 7 % 4);
        want[i] = (uint8_t)(1 + 3 * rows[i]);
    }
    const frame f = {0, 0, 1, 11, true, -1, rows};
    buffer b = make_gif(1, 11, grays, &f, 1);
    expect_image(b.at, b.size, (int[]){11, 1, 1}, want);
}

/* Its place on the canvas, which is transparent beside it; the second does not count. */
static void the_first_frame_counts(void **state)
{
    (void)state;
    const frame frames[2] = {{1, 0, 1, 2, false, -1, six}, {0, 0, 3, 2, false, -1, six}};
    buffer b = make_gif(3, 2, grays, frames, 2);
    EXPECT(b, 2, 3, 2, 0, 0, 1, 255, 0, 0, 0, 0, 4, 255, 0, 0);
    expect_form(b.at, b.size, "x.gif", 2, 3, false, false, 0);
    survive_damage(b.at, b.size, b.size);
    cn_tensor t = {0};
    assert_int_equal(cn_image_decode(&t, "seed", b.at, b.size, CN_IMAGE_INDICES, NULL), CN_OK);
    assert_int_equal(t.shape[2], 1);
    assert_memory_equal(t.data, "\3\0\3\3\1\3", 6); /* 3 is the background's color */
    cn_tensor_free(&t);
}

/* A frame that its canvas has no room for, as of 0 x 0: the canvas grows, as in browsers. */
static void the_canvas_holds_the_frame(void **state)
{
    (void)state;
    const frame f = {1, 0, 2, 2, false, -1, six};
    buffer b = make_gif(3, 2, grays, &f, 1);
    b.at[6] = 2;
    EXPECT(b, 2, 3, 2, 0, 0, 1, 255, 4, 255, 0, 0, 7, 255, 10, 255);
    b.at[6] = b.at[8] = 0;
    EXPECT(b, 2, 3, 2, 0, 0, 1, 255, 4, 255, 0, 0, 7, 255, 10, 255);
    expect_form(b.at, b.size, "x.gif", 2, 3, false, false, 0);
}

static void gif_lies_are_refused(void **state)
{
    (void)state;
    const frame f = {0, 0, 3, 2, false, -1, six};
    buffer b = make_gif(3, 2, grays, &f, 1);
    expect_failure("GIF89a", 6, CN_ERR_FORMAT, "byte 6: GIF: ");
    expect_failure("GIF89a\1\0\1\0\0\0\0;", 14, CN_ERR_FORMAT, "no image in the file");
    b.at[7] = b.at[9] = 250; /* and one that so few bytes do not pay for */
    expect_failure(b.at, b.size, CN_ERR_UNSUPPORTED, "at most 268435456 pixels");
    b.at[7] = b.at[9] = 16;
    expect_failure(b.at, b.size, CN_ERR_FORMAT, "in a file that can hold");
}

/* A chain of extensions that does not end but with the file. */
static void endless_extensions_end(void **state)
{
    (void)state;
    enum { HEAD = 13, EXTENSION = 5, SIZE = HEAD + EXTENSION * 200000 };
    uint8_t *bytes = malloc(SIZE);
    assert_non_null(bytes);
    memcpy(bytes, "GIF89a\1\0\1\0\0\0\0", HEAD);
    for (size_t i = HEAD; i < SIZE; i += EXTENSION) memcpy(bytes + i, "!\xfe\1x\0", EXTENSION);
    expect_failure(bytes, SIZE, CN_ERR_FORMAT, "GIF: ");
    free(bytes);
}

#else

static void gif_is_refused_by_name(void **state)
{
    (void)state;
    expect_failure("GIF89a", 6, CN_ERR_UNSUPPORTED, "built without giflib");
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef CONVNET_HAVE_GIF
        cmocka_unit_test(gif_in_its_forms),           cmocka_unit_test(rows_may_be_interlaced),
        cmocka_unit_test(the_first_frame_counts),     cmocka_unit_test(gif_lies_are_refused),
        cmocka_unit_test(the_canvas_holds_the_frame), cmocka_unit_test(endless_extensions_end),
#else
        cmocka_unit_test(gif_is_refused_by_name),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
