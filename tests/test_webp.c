/* WebP: true and damaged; without libwebp, refused by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "decoding.h"

#ifdef CONVNET_HAVE_WEBP

#include "orientations.h"

#include <webp/encode.h>

typedef struct buffer {
    uint8_t at[4096];
    size_t size;
} buffer;

static void put(buffer *b, const void *bytes, size_t size)
{
    assert_true(b->size + size <= sizeof b->at);
    memcpy(b->at + b->size, bytes, size);
    b->size += size;
}

/* A file as the library writes it, without loss. */
static buffer make_webp(const uint8_t *pixels, int width, int height, int channels)
{
    buffer b = {.size = 0};
    uint8_t *bytes = NULL;
    size_t size = channels == 4 ? WebPEncodeLosslessRGBA(pixels, width, height, 4 * width, &bytes)
                                : WebPEncodeLosslessRGB(pixels, width, height, 3 * width, &bytes);
    assert_true(size > 0);
    put(&b, bytes, size);
    WebPFree(bytes);
    return b;
}

/* With loss, gray; as a mask it has other values than it was given. */
static void a_lossy_mask_is_refused(void **state)
{
    (void)state;
    uint8_t pixels[8 * 8 * 3], *bytes = NULL;
    for (int i = 0; i < 8 * 8 * 3; i++) pixels[i] = (uint8_t)(i / 3 % 3);
    size_t size = WebPEncodeRGB(pixels, 8, 8, 24, 75, &bytes);
    cn_tensor t = {0};
    cn_error err = {CN_OK, ""};
    assert_true(size > 0);
    assert_int_equal(cn_image_decode(&t, "seed", bytes, size, CN_IMAGE_BYTES, &err), CN_OK);
    cn_tensor_free(&t);
    assert_int_equal(cn_image_decode(&t, "seed", bytes, size, CN_IMAGE_INDICES, &err),
                     CN_ERR_UNSUPPORTED);
    assert_says(err, "seed: a mask as lossy WebP, which changes values");
    WebPFree(bytes);
    buffer b = make_webp(pixels, 8, 8, 3);
    assert_int_equal(cn_image_decode(&t, "seed", b.at, b.size, CN_IMAGE_INDICES, &err), CN_OK);
    assert_memory_equal(t.data, pixels, sizeof pixels);
    cn_tensor_free(&t);
}

static void put_chunk(buffer *b, const char *name, const uint8_t *bytes, size_t size)
{
    uint8_t head[8];
    memcpy(head, name, 4);
    put_number(head + 4, (uint32_t)size, 4, false);
    put(b, head, 8);
    put(b, bytes, size);
    if (size % 2) put(b, "", 1);
}

static void finish(buffer *b)
{
    put_number(b->at + 4, (uint32_t)b->size - 8, 4, false);
}

/* The same with flags, on a canvas; `exif` NULL: none. */
enum { HAS_EXIF = 8, ANIMATED = 2, HAS_ALPHA = 16 };
static buffer extend(const buffer *simple, uint8_t flags, uint32_t width, uint32_t height,
                     const uint8_t *exif, size_t size)
{
    uint8_t head[10] = {flags};
    buffer b = {.size = 0};
    put_number(head + 4, width - 1, 3, false);
    put_number(head + 7, height - 1, 3, false);
    put(&b, "RIFF....WEBP", 12);
    put_chunk(&b, "VP8X", head, sizeof head);
    put(&b, simple->at + 12, simple->size - 12);
    if (exif) put_chunk(&b, "EXIF", exif, size);
    finish(&b);
    return b;
}

static const uint8_t six[18] = {10, 10, 10, 20, 20, 20, 30, 30, 30,
                                40, 40, 40, 50, 50, 50, 60, 60, 60};

static void webp_in_its_forms(void **state)
{
    (void)state;
    const uint8_t color[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    buffer b = make_webp(color, 2, 2, 3);
    expect_image(b.at, b.size, (int[]){2, 2, 3}, color);
    expect_form(b.at, b.size, "x.webp", 2, 2, true, false, 0);
    b = make_webp(color, 3, 1, 4);
    expect_image(b.at, b.size, (int[]){1, 3, 4}, color);
    expect_form(b.at, b.size, "x.webp", 1, 3, true, false, 0);
    uint8_t *bytes = NULL, plane[16 * 24 * 3];
    memset(plane, 90, sizeof plane);
    size_t size = WebPEncodeRGB(plane, 24, 16, 72, 75, &bytes); /* with loss, of nothing here */
    expect_form(bytes, size, "x.webp", 16, 24, true, false, 0);
    cn_tensor t = {0};
    assert_int_equal(decode(&t, bytes, size, NULL), CN_OK);
    assert_memory_equal(t.shape, ((int[]){16, 24, 3}), 12);
    for (size_t i = 0; i < cn_tensor_count(&t); i++)
        assert_in_range(((uint8_t *)t.data)[i], 88, 92);
    cn_tensor_free(&t);
    refuse_cut(bytes, size);
    WebPFree(bytes);
}

static void webp_is_turned_as_exif_says(void **state)
{
    (void)state;
    uint8_t exif[EXIF + 6] = "Exif\0";
    buffer simple = make_webp(six, 3, 2, 3);
    for (uint32_t o = 1; o <= 8; o++)
        for (size_t mark = 0; mark <= 6; mark += 6) {
            make_exif(exif + 6, o, mark, 3);
            buffer b = extend(&simple, HAS_EXIF, 3, 2, exif + 6 - mark, EXIF + mark);
            expect_shown(b.at, b.size, o, 1, 3);
            expect_form(b.at, b.size, "x.webp", o < 5 ? 2 : 3, o < 5 ? 3 : 2, true, false, 0);
        }
}

static void put_frame(buffer *b, const buffer *image, uint32_t x, uint32_t width, uint32_t height)
{
    uint8_t frame[512] = {0};
    put_number(frame, x / 2, 3, false);
    put_number(frame + 6, width - 1, 3, false);
    put_number(frame + 9, height - 1, 3, false);
    memcpy(frame + 16, image->at + 12, image->size - 12);
    put_chunk(b, "ANMF", frame, 16 + image->size - 12);
}

/* Two frames, of which the first is smaller than the canvas. */
enum { FRAMES_AT = 44 };
static buffer make_animation(void)
{
    buffer b = {.size = 0}, first = make_webp(six, 1, 2, 3), second = make_webp(six, 3, 2, 3);
    const uint8_t head[10] = {ANIMATED | HAS_ALPHA, 0, 0, 0, 2, 0, 0, 1}, none[6] = {0};
    put(&b, "RIFF....WEBP", 12);
    put_chunk(&b, "VP8X", head, sizeof head);
    put_chunk(&b, "ANIM", none, sizeof none);
    assert_int_equal(b.size, FRAMES_AT);
    put_frame(&b, &first, 2, 1, 2);
    put_frame(&b, &second, 0, 3, 2);
    finish(&b);
    return b;
}

static void the_first_frame_counts(void **state)
{
    (void)state;
    buffer b = make_animation();
    const uint8_t first[24] = {0, 0, 0, 0, 0, 0, 0, 0, 10, 10, 10, 255,
                               0, 0, 0, 0, 0, 0, 0, 0, 20, 20, 20, 255};
    expect_image(b.at, b.size, (int[]){2, 3, 4}, first);
    survive_damage(b.at, b.size, b.size);
}

static void webp_lies_are_refused(void **state)
{
    (void)state;
    buffer simple = make_webp(six, 3, 2, 3), b = extend(&simple, 0, 4000, 5000, NULL, 0);
    expect_failure(b.at, b.size, CN_ERR_FORMAT, "WebP: ");
    b = make_animation(); /* of a canvas that a few bytes do not pay for */
    put_number(b.at + 24, 9999, 3, false);
    put_number(b.at + 27, 9999, 3, false);
    expect_failure(b.at, b.size, CN_ERR_FORMAT, "in a file that can hold");
    put_number(b.at + 24, 0xfffff, 3, false);
    put_number(b.at + 27, 0x3ff, 3, false);
    expect_failure(b.at, b.size, CN_ERR_UNSUPPORTED, "at most 268435456 pixels");
    expect_failure("RIFF\4\0\0\0WEBP", 12, CN_ERR_FORMAT, "WebP: damaged, or cut short");
    survive_damage(simple.at, simple.size, simple.size);
}

/* However many frames follow it, the first one is read. */
static void many_frames_take_no_time(void **state)
{
    (void)state;
    enum { FRAMES = 5000 };
    buffer b = make_animation();
    size_t frame = 8 + (size_t)(b.at[FRAMES_AT + 4] | b.at[FRAMES_AT + 5] << 8);
    size_t size = FRAMES_AT + FRAMES * frame;
    uint8_t *bytes = malloc(size);
    assert_non_null(bytes);
    memcpy(bytes, b.at, FRAMES_AT);
    for (size_t i = 0; i < FRAMES; i++)
        memcpy(bytes + FRAMES_AT + i * frame, b.at + FRAMES_AT, frame);
    put_number(bytes + 4, (uint32_t)size - 8, 4, false);
    cn_tensor t = {0};
    cn_error err = {CN_OK, ""};
    if (cn_image_decode(&t, "seed", bytes, size, CN_IMAGE_BYTES, &err) != CN_OK)
        fail_msg("%s", err.text);
    assert_int_equal(t.shape[1], 3);
    cn_tensor_free(&t);
    free(bytes);
}

#else

static void webp_is_refused_by_name(void **state)
{
    (void)state;
    expect_failure("RIFF\4\0\0\0WEBP", 12, CN_ERR_UNSUPPORTED, "built without libwebp");
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef CONVNET_HAVE_WEBP
        cmocka_unit_test(a_lossy_mask_is_refused),     cmocka_unit_test(webp_in_its_forms),
        cmocka_unit_test(webp_is_turned_as_exif_says), cmocka_unit_test(the_first_frame_counts),
        cmocka_unit_test(webp_lies_are_refused),       cmocka_unit_test(many_frames_take_no_time),
#else
        cmocka_unit_test(webp_is_refused_by_name),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
