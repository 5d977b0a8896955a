/* Masks in color, and the files that tell which color is which class. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convnet.h"
#include "trees.h"

static char folder[FILES_PATH];

/* Two images and masks of two pixels, in the given bytes of a PPM or PGM. */
static int make_images(void **state)
{
    (void)state;
    files_make_folder(folder);
    put_gray(folder, "images/a.pgm", 1, 2, 1);
    put_gray(folder, "images/b.pgm", 1, 2, 1);
    return 0;
}

static int remove_images(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static void put_mask(const char *name, const char *kind, const void *pixels, size_t size)
{
    char bytes[64];
    size_t head = (size_t)snprintf(bytes, 32, "%s 2 1 255\n", kind);
    memcpy(bytes + head, pixels, size);
    put(folder, name, bytes, head + size);
}

/* Of the colors red and blue, then twice red. */
static void put_colors(void)
{
    put_mask("masks/a.ppm", "P6", (const uint8_t[]){128, 0, 0, 0, 0, 255}, 6);
    put_mask("masks/b.ppm", "P6", (const uint8_t[]){128, 0, 0, 128, 0, 0}, 6);
}

static void remove_file(const char *name)
{
    char path[FILES_PATH];
    assert_int_equal(remove(files_join(path, folder, name)), 0);
}

static cn_status load(cn_dataset **data, const char *kind, const char *options, cn_error *err)
{
    char spec[2 * FILES_PATH + 64];
    snprintf(spec, sizeof spec, "%s%s%s", kind, folder, options);
    return cn_dataset_load(data, spec, CN_SUBSET_TRAIN, NULL, err);
}

static void expect_failure(const char *kind, const char *options, const char *part)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    assert_int_not_equal(load(&data, kind, options, &err), CN_OK);
    assert_null(data);
    assert_says(err, part);
}

/* Names of the classes, and the classes of the four pixels. */
static void expect_classes(const char *options, const char *names, const char *pixels)
{
    char found[64] = "";
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    if (load(&data, "masks:", options, &err) != CN_OK) fail_msg("%s", err.text);
    for (int k = 0; k < cn_dataset_classes(data); k++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", k ? "|" : "",
                 cn_dataset_class_name(data, k));
    assert_string_equal(found, names);
    const uint8_t *masks = cn_dataset_masks(data)->data;
    for (int i = 0; i < 4; i++)
        assert_int_equal(masks[i] == CN_MASK_IGNORED ? '.' : '0' + masks[i], pixels[i]);
    cn_dataset_free(data);
}

static void a_file_tells_the_colors(void **state)
{
    static const char *const files[][4] = {
        {"class_dict.csv", "name,r,g,b\nSky,128,0,0\nBig Tree,0,128,0\nRoad,0,0,255\n",
         "Sky|Big Tree|Road", "0200"},
        {"class_dict.csv", "name, r, g, b\r\n\"Road\", 0, 0, 255\r\n\r\nSky , 128, 0, 0\r\n",
         "Road|Sky", "1011"},
        {"label_colors.txt", "0 0 255\tRoad\n128 0 0\t\tBig Sky\n", "Road|Big Sky", "1011"},
        {"labelmap.txt",
         "# label:color_rgb:parts:actions\nbackground:0,0,0::\nsky:128,0,0::\n"
         "road:0,0,255::",
         "background|sky|road", "1211"},
    };
    (void)state;
    put_colors();
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        put_text(folder, files[i][0], files[i][1]);
        expect_classes("", files[i][2], files[i][3]);
        remove_file(files[i][0]);
    }
    put_text(folder, "class_dict.csv", "Sky,128,0,0\nRoad,0,0,255\n");
    expect_classes(",ignore=1", "Sky|Road", "0.00");
    remove_file("class_dict.csv");
}

static void an_option_names_the_file(void **state)
{
    char option[FILES_PATH + 64];
    (void)state;
    put_colors();
    put_text(folder, "other/list.txt", "x,0,0,255\ny,128,0,0\n");
    put_text(folder, "class_dict.csv", "Sky,128,0,0\nRoad,0,0,255\n");
    snprintf(option, sizeof option, ",size=1x2,colors=%s/other/list.txt", folder);
    expect_classes(option, "x|y", "1011");
    snprintf(option, sizeof option, ",colors=%s/nowhere.txt", folder);
    expect_failure("masks:", option, "nowhere.txt");
    put_text(folder, "t.csv", "path,label\nimages/a.pgm,x\nimages/b.pgm,y\n");
    expect_failure("csv:", "/t.csv,colors=list.txt", "ignore= and colors= are for masks");
    expect_failure("csv:", "/t.csv,ignore=3", "ignore= and colors= are for masks");
    put_text(folder, "t.csv", "path,mask\nimages/a.pgm,masks/a.ppm\nimages/b.pgm,masks/b.ppm\n");
    cn_dataset *data = NULL;
    snprintf(option, sizeof option, "/t.csv,colors=%s/other/list.txt", folder);
    assert_int_equal(load(&data, "csv:", option, NULL), CN_OK);
    assert_string_equal(cn_dataset_class_name(data, 1), "y");
    cn_dataset_free(data);
    remove_file("t.csv");
    remove_file("class_dict.csv");
}

/* Gray has values, of which the file has the names, unless all of its colors are gray. */
static void gray_has_values(void **state)
{
    (void)state;
    remove_file("masks/a.ppm");
    remove_file("masks/b.ppm");
    put_mask("masks/a.pgm", "P5", "\0\1", 2);
    put_mask("masks/b.pgm", "P5", "\1\1", 2);
    put_text(folder, "class_dict.csv", "Void,0,0,0\nSky,128,0,0\nRoad,0,0,255\n");
    expect_classes("", "Void|Sky|Road", "0111");
    put_mask("masks/b.pgm", "P5", "\3\1", 2);
    expect_failure("masks:", "", "a mask has a pixel of 3, but there are names for 3 classes");
    put_text(folder, "class_dict.csv", "name,r,g,b\nRoad,255,255,255\nRest,0,0,0\n");
    put_mask("masks/a.pgm", "P5", "\0\xff", 2);
    put_mask("masks/b.pgm", "P5", "\xff\xff", 2);
    expect_classes("", "Road|Rest", "1000");
#ifdef CONVNET_HAVE_PNG
    /* A palette has colors: those of PASCAL VOC here. */
    char path[FILES_PATH];
    remove_file("masks/a.pgm");
    const cn_tensor mask = cn_tensor_view(CN_DTYPE_U8, 2, (int[]){1, 2}, (uint8_t[]){1, 0});
    assert_int_equal(cn_mask_save(&mask, files_join(path, folder, "masks/a.png"), NULL), CN_OK);
    put_text(folder, "class_dict.csv", "Rest,0,0,0\nWhite,255,255,255\nPlane,128,0,0\n");
    put_mask("masks/b.pgm", "P5", "\2\1", 2);
    expect_classes("", "Rest|White|Plane", "2021");
    remove_file("masks/a.png");
    put_mask("masks/a.pgm", "P5", "\0\xff", 2);
#endif
    remove_file("masks/a.pgm");
    remove_file("masks/b.pgm");
    remove_file("class_dict.csv");
}

static void what_does_not_fit_is_said(void **state)
{
    static const char *const bad[] = {"Sky,128,0\nRoad,0,0,255\n,1,2,3\n",
                                      "a,1,2,3\nb,1,2,256\n",
                                      "a,1,2,3\nb,1,2,3\n",
                                      "a,1,2,3\n1 2 3\n",
                                      "a,1,2,3\nb,1,2,-3\n",
                                      "name,r,g,b\n",
                                      ""};
    char text[256 * 12];
    size_t used = 0;
    (void)state;
    put_colors();
    expect_failure("masks:", "",
                   "masks/a.ppm: a mask in color, with a pixel of 128,0,0: expected "
                   "gray or a palette, whose values are the classes, or class_dict");
    put_text(folder, "class_dict.csv", "Sky,128,0,0\nRoad,0,255,0\n");
    expect_failure("masks:", "", "a mask in color, with a pixel of 0,0,255: expected");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put_text(folder, "class_dict.csv", bad[i]);
        expect_failure("masks:", "", "class_dict.csv: expected names of up to 255 classes");
    }
    put(folder, "class_dict.csv", "a,1,2,3\0b", 9);
    expect_failure("masks:", "", "expected text, found a byte of 0");
    for (int i = 0; i < 256; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "x,%d,0,0\n", i);
    put_text(folder, "class_dict.csv", text);
    expect_failure("masks:", "", "expected names of up to 255 classes");
    put_text(folder, "masks/a.ppm", "P6 2 1 65535\n123456789012");
    remove_file("class_dict.csv");
    expect_failure("masks:", "", "a mask in color, with a pixel of 49,51,53");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_tells_the_colors),
        cmocka_unit_test(an_option_names_the_file),
        cmocka_unit_test(gray_has_values),
        cmocka_unit_test(what_does_not_fit_is_said),
    };
    return cmocka_run_group_tests(tests, make_images, remove_images);
}
