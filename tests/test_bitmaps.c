/* Bitmaps of Windows and OS/2 (BMP), and netpbm's PAM: true and damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "decoding.h"

typedef struct buffer {
    uint8_t at[512];
    size_t size;
} buffer;

static void put(buffer *b, uint32_t value, int bytes)
{
    assert_true(b->size + (size_t)bytes <= sizeof b->at);
    for (int i = 0; i < bytes; i++) b->at[b->size++] = (uint8_t)(value >> 8 * i);
}

static void put_bytes(buffer *b, const void *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) put(b, ((const uint8_t *)bytes)[i], 1);
}

/* What precedes palette, masks and pixels. */
typedef struct head {
    uint32_t size; /* 12: OS/2's */
    int width, height;
    uint32_t bits, compression, colors;
    uint32_t masks[4]; /* as many as the size has room for */
} head;

static buffer begin(head h, const uint8_t *palette, size_t palette_size)
{
    buffer b = {.size = 0};
    put_bytes(&b, "BM", 2);
    put(&b, 0, 4);
    put(&b, 0, 4);
    put(&b, (uint32_t)(14 + h.size + palette_size), 4);
    put(&b, h.size, 4);
    put(&b, (uint32_t)h.width, h.size == 12 ? 2 : 4);
    put(&b, (uint32_t)h.height, h.size == 12 ? 2 : 4);
    put(&b, 1, 2);
    put(&b, h.bits, 2);
    if (h.size >= 40) {
        put(&b, h.compression, 4);
        for (int i = 0; i < 3; i++) put(&b, 0, 4);
        put(&b, h.colors, 4);
        put(&b, 0, 4);
    }
    for (int i = 0; i < 4 && b.size < 14 + h.size; i++) put(&b, h.masks[i], 4);
    while (b.size < 14 + h.size) put(&b, 0, 1);
    put_bytes(&b, palette, palette_size);
    return b;
}

#define EXPECT_BMP(b, height, width, channels, ...)                        \
    expect_image((b).at, (b).size, (const int[]){height, width, channels}, \
                 (const uint8_t[]){__VA_ARGS__})

static const uint8_t two_colors[8] = {1, 2, 3, 0, 40, 50, 60, 0};
static const uint8_t grays[8] = {9, 9, 9, 0, 200, 200, 200, 0};

static void palettes_of_all_sizes(void **state)
{
    (void)state;
    buffer b = begin((head){40, 3, 2, 1, 0, 2, {0}}, two_colors, 8);
    put_bytes(&b, "\x40\0\0\0\xa0\0\0\0", 8);
    EXPECT_BMP(b, 2, 3, 3, 60, 50, 40, 3, 2, 1, 60, 50, 40, 3, 2, 1, 60, 50, 40, 3, 2, 1);
    refuse_cut(b.at, b.size - 3); /* what fills up the last row may be missing */
    expect_form(b.at, b.size, "x.bmp", 2, 3, true, false, 0);

    b = begin((head){40, 3, -2, 4, 0, 2, {0}}, grays, 8);
    put_bytes(&b, "\1\0\0\0\x01\x10\0\0", 8);
    EXPECT_BMP(b, 2, 3, 1, 9, 200, 9, 9, 200, 200);
    expect_form(b.at, b.size, "x.bmp", 2, 3, false, false, 0);

    b = begin((head){40, 3, 1, 2, 0, 2, {0}}, grays, 8);
    put_bytes(&b, "\x10\0\0\0", 4);
    EXPECT_BMP(b, 1, 3, 1, 9, 200, 9);

    b = begin((head){40, 3, 1, 8, 0, 2, {0}}, two_colors, 8);
    put_bytes(&b, "\1\0\1\0", 4);
    EXPECT_BMP(b, 1, 3, 3, 60, 50, 40, 3, 2, 1, 60, 50, 40);

    b = begin((head){12, 2, 2, 1, 0, 0, {0}}, (const uint8_t[]){1, 2, 3, 4, 5, 6}, 6);
    put_bytes(&b, "\x40\0\0\0\x80\0\0\0", 8);
    EXPECT_BMP(b, 2, 2, 3, 6, 5, 4, 3, 2, 1, 3, 2, 1, 6, 5, 4);
    refuse_cut(b.at, b.size - 3);

    b = begin((head){64, 3, 1, 8, 0, 2, {0}}, grays, 8);
    put_bytes(&b, "\1\0\1\0", 4);
    EXPECT_BMP(b, 1, 3, 1, 200, 9, 200);
}

static void pixels_of_their_own(void **state)
{
    (void)state;
    buffer b = begin((head){40, 2, 2, 24, 0, 0, {0}}, NULL, 0);
    put_bytes(&b, "\1\2\3\4\5\6\0\0\7\x8\x9\xa\xb\xc\0\0", 16);
    EXPECT_BMP(b, 2, 2, 3, 9, 8, 7, 12, 11, 10, 3, 2, 1, 6, 5, 4);
    expect_form(b.at, b.size, "x.bmp", 2, 2, true, false, 0);
    refuse_cut(b.at, b.size - 2);

    b = begin((head){40, 2, 1, 16, 0, 0, {0}}, NULL, 0); /* 5 bits each */
    put(&b, 31 << 10 | 1, 2);
    put(&b, 16 << 5, 2);
    EXPECT_BMP(b, 1, 2, 3, 255, 0, 8, 0, 132, 0);

    b = begin((head){40, 1, 1, 32, 0, 0, {0}}, NULL, 0); /* the fourth byte means nothing */
    put(&b, 0x80010203, 4);
    EXPECT_BMP(b, 1, 1, 3, 1, 2, 3);

    const uint32_t masks[3] = {0xf800, 0x7e0, 0x1f}; /* behind a header of 40 bytes */
    uint8_t bytes[12];
    for (int i = 0; i < 12; i++) bytes[i] = (uint8_t)(masks[i / 4] >> 8 * (i % 4));
    b = begin((head){40, 2, 1, 16, 3, 0, {0}}, bytes, 12);
    put(&b, 31u << 11 | 32 << 5, 2);
    put(&b, 31, 2);
    EXPECT_BMP(b, 1, 2, 3, 255, 130, 0, 0, 0, 255);

    b = begin((head){108, 1, 2, 32, 3, 0, {0xff, 0xff00, 0xff0000, 0xff000000}}, NULL, 0);
    put(&b, 0x04030201, 4);
    put(&b, 0x08070605, 4);
    EXPECT_BMP(b, 2, 1, 4, 5, 6, 7, 8, 1, 2, 3, 4);
    expect_form(b.at, b.size, "x.bmp", 2, 1, true, false, 0);

    b = begin((head){52, 1, 1, 32, 3, 0, {0x3ff00000, 0xffc00, 0x3ff}}, NULL, 0); /* 10 bits */
    put(&b, 1023u << 20 | 512 << 10 | 1, 4);
    EXPECT_BMP(b, 1, 1, 3, 255, 128, 0);
}

static void run_lengths(void **state)
{
    (void)state;
    /* A run, pixels as they are, a move, the end of a row and of the image. */
    const char eight[] = "\3\1\0\0\0\3\1\0\1\0\0\2\2\0\1\1\0\1";
    buffer b = begin((head){40, 6, 2, 8, 1, 2, {0}}, grays, 8);
    put_bytes(&b, eight, sizeof eight - 1);
    EXPECT_BMP(b, 2, 6, 1, 200, 9, 200, 9, 9, 200, 200, 200, 200, 9, 9, 9);
    refuse_cut(b.at, b.size);

    const char four[] = "\3\x10\0\0\0\3\x10\x10\2\x11\0\1";
    b = begin((head){40, 5, 2, 4, 2, 2, {0}}, grays, 8);
    put_bytes(&b, four, sizeof four - 1);
    EXPECT_BMP(b, 2, 5, 1, 200, 9, 200, 200, 200, 200, 9, 200, 9, 9);
    refuse_cut(b.at, b.size);
}

static void indices_are_kept_for_masks(void **state)
{
    (void)state;
    cn_tensor t = {0};
    buffer b = begin((head){40, 3, 1, 8, 0, 2, {0}}, two_colors, 8);
    put_bytes(&b, "\1\0\1\0", 4);
    assert_int_equal(cn_image_decode(&t, "seed", b.at, b.size, CN_IMAGE_INDICES, NULL), CN_OK);
    assert_int_equal(t.shape[2], 1);
    assert_memory_equal(t.data, "\1\0\1", 3);
    cn_tensor_free(&t);
    assert_int_equal(
        cn_image_decode(&t, "seed", (const uint8_t *)"P4 3 1 \xa0", 8, CN_IMAGE_INDICES, NULL),
        CN_OK);
    assert_memory_equal(t.data, "\1\0\1", 3);
    cn_tensor_free(&t);
}

static void refuse_head(head h, const void *pixels, size_t size, cn_status status, const char *part)
{
    buffer b = begin(h, grays, 8);
    put_bytes(&b, pixels, size);
    expect_failure(b.at, b.size, status, part);
}

static void lies_are_refused(void **state)
{
    (void)state;
    refuse_head((head){40, 0, 1, 8, 0, 2, {0}}, "", 0, CN_ERR_FORMAT, "width 0 and height 1");
    refuse_head((head){40, 1, 0, 8, 0, 2, {0}}, "", 0, CN_ERR_FORMAT, "width 1 and height 0");
    refuse_head((head){40, -1, 1, 8, 0, 2, {0}}, "", 0, CN_ERR_FORMAT, "width -1");
    refuse_head((head){40, 30000, 30000, 8, 0, 2, {0}}, "", 0, CN_ERR_UNSUPPORTED, "at most");
    refuse_head((head){40, 9000, INT32_MIN, 8, 0, 2, {0}}, "", 0, CN_ERR_UNSUPPORTED, "at most");
    refuse_head((head){40, 9000, 9000, 8, 0, 2, {0}}, "", 0, CN_ERR_FORMAT, "can hold 0 pixels");
    refuse_head((head){40, 9000, 9000, 8, 1, 2, {0}}, "\0\1", 2, CN_ERR_FORMAT, "can hold 255");
    refuse_head((head){40, 1, 1, 8, 0, 2, {0}}, "\2\0\0\0", 4, CN_ERR_FORMAT,
                "pixel (0, 0) has color 2 of a palette of 2");
    refuse_head((head){40, 1, 1, 7, 0, 2, {0}}, "", 0, CN_ERR_UNSUPPORTED, "7 bits");
    refuse_head((head){40, 1, 1, 0, 5, 2, {0}}, "", 0, CN_ERR_UNSUPPORTED, "compression 5");
    refuse_head((head){40, 1, -1, 8, 1, 2, {0}}, "\0\1", 2, CN_ERR_UNSUPPORTED, "compression 1");
    refuse_head((head){56, 1, 1, 32, 3, 0, {0xff, 0, 0xff0000, 0}}, "1234", 4, CN_ERR_FORMAT,
                "a mask of 00000000");
    refuse_head((head){56, 1, 1, 32, 3, 0, {0xf0f, 0xf000, 0xff0000, 0}}, "1234", 4, CN_ERR_FORMAT,
                "a mask of 00000f0f");
    refuse_head((head){40, 2, 1, 8, 1, 2, {0}}, "\3\1\0\1", 4, CN_ERR_FORMAT, "a run of 3 pixels");
    refuse_head((head){40, 2, 1, 8, 1, 2, {0}}, "\0\0\1\1\0\1", 6, CN_ERR_FORMAT, "a run of 1");
    refuse_head((head){40, 2, 1, 8, 1, 2, {0}}, "\0\2\3\0\0\1", 6, CN_ERR_FORMAT, "a move");
    buffer b = begin((head){40, 1, 1, 8, 0, 2, {0}}, grays, 8);
    put(&b, 0, 4);
    b.at[10] = 20;
    expect_failure(b.at, b.size, CN_ERR_FORMAT, "byte 10: BMP: pixels from byte 20 on");
    b.at[10] = 255;
    expect_failure(b.at, b.size, CN_ERR_FORMAT, "byte 10: BMP: pixels from byte 255 on");
}

static void damage_does_no_harm(void **state)
{
    (void)state;
    const char eight[] = "\3\1\0\0\0\3\1\0\1\0\0\2\2\0\1\1\0\1";
    buffer b = begin((head){40, 6, 2, 8, 1, 2, {0}}, grays, 8);
    put_bytes(&b, eight, sizeof eight - 1);
    survive_damage(b.at, b.size, b.size);
    b = begin((head){108, 1, 2, 32, 3, 0, {0xff, 0xff00, 0xff0000, 0xff000000}}, NULL, 0);
    put_bytes(&b, "12345678", 8);
    survive_damage(b.at, b.size, b.size);
}

/* ---- PAM */

#define PAM(width, height, depth, most, type) \
    "P7\nWIDTH " width "\nHEIGHT " height "\nDEPTH " depth "\nMAXVAL " most "\n" type "ENDHDR\n"

#define EXPECT_PAM(text, channels, ...)                                \
    expect_image(text, sizeof text - 1, (const int[]){1, 2, channels}, \
                 (const uint8_t[]){__VA_ARGS__})

static void pam_in_all_its_forms(void **state)
{
    (void)state;
    const char gray[] = PAM("2", "1", "1", "255", "TUPLTYPE GRAYSCALE\n") "\1\2";
    EXPECT_PAM(gray, 1, 1, 2);
    const char bits[] = PAM("2", "1", "1", "1", "# white is 1\n\nTUPLTYPE BLACKANDWHITE\n") "\1\0";
    EXPECT_PAM(bits, 1, 255, 0);
    const char alpha[] = PAM(" 2", "1 ", "4", "255", "TUPLTYPE RGB_ALPHA\n") "abcdefgh";
    EXPECT_PAM(alpha, 4, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h');
    expect_form(alpha, sizeof alpha - 1, "x.pam", 1, 2, true, false, 0);
    const char deep[] = PAM("2", "1", "1", "65535", "") "\1\1\xff\xff";
    EXPECT_PAM(deep, 1, 1, 255);
    expect_form(deep, sizeof deep - 1, "x.pam", 1, 2, false, true, 0);
    const char many[] = PAM("2", "1", "5", "255", "TUPLTYPE SENSOR\n") "0123456789";
    EXPECT_PAM(many, 5, '0', '1', '2', '3', '4', '5', '6', '7', '8', '9');
    expect_form(many, sizeof many - 1, "x.pam", 1, 2, true, false, 5);
    const char near[] = PAM("2", "1", "4", "255", "TUPLTYPE RGB_NIR\n") "abcdefgh";
    expect_form(near, sizeof near - 1, "x.pam", 1, 2, true, false, 4);
    refuse_cut((const uint8_t *)many, sizeof many - 1);
    survive_damage((const uint8_t *)many, sizeof many - 1, sizeof many - 1);
}

#define EXPECT_LIE(text, status, part) expect_failure(text, sizeof text - 1, status, part)

static void pam_lies_are_refused(void **state)
{
    (void)state;
    EXPECT_LIE("P7\nWIDTH 1\n", CN_ERR_FORMAT, "byte 11: expected a line that ends the header");
    EXPECT_LIE("P7\nWIDTH 1\nENDHDR\n", CN_ERR_FORMAT, "byte 18: expected a HEIGHT in the header");
    EXPECT_LIE("P7\nWIDTH 1x\nENDHDR\n", CN_ERR_FORMAT, "byte 3: WIDTH \"1x\", expected 1 to");
    EXPECT_LIE("P7\nWIDTH 99999999999999999999\n", CN_ERR_FORMAT, "expected 1 to 2147483647");
    EXPECT_LIE("P7\nDEPTH 1025\n", CN_ERR_FORMAT, "expected 1 to 1024");
    EXPECT_LIE("P7\nBREADTH 4\n", CN_ERR_FORMAT, "\"BREADTH\", expected WIDTH, HEIGHT");
    EXPECT_LIE(PAM("20000", "20000", "1", "255", ""), CN_ERR_UNSUPPORTED, "at most 268435456");
    EXPECT_LIE(PAM("9999", "9999", "999", "255", ""), CN_ERR_UNSUPPORTED, "999 channels");
    EXPECT_LIE(PAM("9", "9", "1", "255", ""), CN_ERR_FORMAT, "can hold 0 pixels");
    EXPECT_LIE(PAM("1", "1", "1", "9", "") "\x0a", CN_ERR_FORMAT, "sample 10, expected 0 to 9");
    EXPECT_LIE(PAM("1", "1", "1", "9", "") "\1\1", CN_ERR_FORMAT, "expected the end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(palettes_of_all_sizes), cmocka_unit_test(pixels_of_their_own),
        cmocka_unit_test(run_lengths),           cmocka_unit_test(indices_are_kept_for_masks),
        cmocka_unit_test(lies_are_refused),      cmocka_unit_test(damage_does_no_harm),
        cmocka_unit_test(pam_in_all_its_forms),  cmocka_unit_test(pam_lies_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
