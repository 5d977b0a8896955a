/* Tables of images and their labels, their masks or their pixels. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convnet.h"
#include "image_sets.h"

static void a_table_names_images(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    put_gray(folder, "p/1.pgm", 1, 1, 1);
    put_gray(folder, "p/a,\"b.pgm", 1, 1, 2);
    put_gray(folder, "3.pgm", 1, 1, 3);
    put_text(folder, "train.csv",
             "\xef\xbb\xbf"
             "file,what\r\np/1.pgm,dog\r\n\r\n\"p/a,\"\"b.pgm\",\"cat, gray\"\r\n");
    put_text(folder, "test.csv", "3.pgm,dog");
    files_join(path, folder, "test.csv");
    for (int form = 0; form < 3; form++) {
        const char *kind = form == 0 ? "" : "csv:", *at = form == 2 ? path : folder;
        cn_dataset *train = expect_set(kind, at, "", CN_SUBSET_TRAIN);
        cn_dataset *test = expect_set(kind, at, ",size=2x2", CN_SUBSET_TEST);
        assert_int_equal(cn_dataset_size(train), 2);
        assert_int_equal(cn_dataset_size(test), 1);
        assert_int_equal(cn_dataset_classes(train), 2);
        assert_string_equal(cn_dataset_class_name(test, 0), "cat, gray");
        assert_string_equal(cn_dataset_class_name(test, 1), "dog");
        assert_int_equal(cn_dataset_label(train, 0), 1);
        assert_int_equal(cn_dataset_label(train, 1), 0);
        assert_int_equal(cn_dataset_label(test, 0), 1);
        assert_close(first_pixel(train, 1), 2, 1e-5);
        assert_memory_equal(cn_dataset_shape(test), ((int[]){2, 2, 1}), 12);
        cn_dataset_free(train);
        cn_dataset_free(test);
    }
    remove_tree(folder);
}

static void labels_may_be_numbers(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    put_gray(folder, "1.pgm", 1, 1, 1);
    put_text(folder, "labels.csv", "1.pgm,10\n1.pgm,2\n1.pgm,0\n1.pgm,0\n1.pgm,3\n");
    cn_dataset *train = expect_set("", folder, "", CN_SUBSET_TRAIN);
    cn_dataset *test = expect_set("", folder, "", CN_SUBSET_TEST);
    assert_int_equal(cn_dataset_size(train), 4);
    assert_int_equal(cn_dataset_classes(test), 4); /* not 11: they keep their names */
    assert_string_equal(cn_dataset_class_name(test, 3), "10");
    assert_non_null(strstr(cn_dataset_remarks(test),
                           "labels from 0 to 10 make 4 classes, which have them as names\n"));
    assert_int_equal(cn_dataset_label(train, 0), 3);
    assert_int_equal(cn_dataset_label(test, 0), 2);
    cn_dataset_free(train);
    cn_dataset_free(test);
    const struct {
        const char *text;
        cn_status status;
        const char *says;
    } cases[] = {
        {"", CN_ERR_FORMAT, "expected lines of path,label, found none"},
        {"path,label\n", CN_ERR_FORMAT, "expected lines of path,label, found none"},
        {"1.pgm,0\n1.pgm\n", CN_ERR_FORMAT, "labels.csv: line 2: expected path,label"},
        {"1.pgm,0,1\n", CN_ERR_FORMAT, "line 1: expected path,label or a heading"},
        {"1.pgm,\n", CN_ERR_FORMAT, "line 1: expected path,label"},
        {",0\n", CN_ERR_FORMAT, "line 1: expected path,label"},
        {"\"1.pgm,0\n", CN_ERR_FORMAT, "line 1: expected fields, found a quote"},
        {"\"1.pgm\"x,0\n", CN_ERR_FORMAT, "line 1: expected fields, found a quote"},
        {"1.pgm,caf\xc3\xa9\n1.pgm,caf\xe9\n", CN_ERR_FORMAT,
         "labels.csv: line 2: expected text in UTF-8"},
        {"\xff\xfe"
         "1",
         CN_ERR_FORMAT, "line 1: expected text in UTF-8, found another encoding"},
        {"1.pgm,0\n2.pgm,0\n", CN_ERR_IO, "labels.csv: line 2: no image 2.pgm"},
        {"heading.pgm,0\n", CN_ERR_IO, "line 1: no image heading.pgm"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_text(folder, "labels.csv", cases[i].text);
        expect_failure("csv:", folder, "", cases[i].status, cases[i].says);
    }
    put(folder, "labels.csv", "1.pgm\0,0\n", 9);
    expect_failure("csv:", folder, "", CN_ERR_FORMAT, "expected text, found a byte of 0");
    /* Not numbers all of them, so names: the order is that of the bytes. */
    put_text(folder, "labels.csv", "1.pgm,-1\n1.pgm,5\n1.pgm,10\n");
    train = expect_set("csv:", files_join(path, folder, "labels.csv"), "", CN_SUBSET_TRAIN);
    assert_int_equal(cn_dataset_classes(train), 3);
    assert_string_equal(cn_dataset_class_name(train, 1), "10");
    cn_dataset_free(train);
    remove(path);
    expect_failure("csv:", folder, "", CN_ERR_IO, "expected train.csv or labels.csv, found none");
    remove_tree(folder);
}

/* "007" and "7" are two names; and a row may name an image again, which is said. */
static void labels_may_begin_with_zeros(void **state)
{
    (void)state;
    char folder[FILES_PATH], expected[2 * FILES_PATH];
    files_make_folder(folder);
    put_gray(folder, "1.pgm", 1, 1, 1);
    put_gray(folder, "2.pgm", 1, 1, 1);
    put_text(folder, "labels.csv", "path,label\n2.pgm,007\n1.pgm,007\n1.pgm,7\n1.pgm,7\n");
    cn_dataset *data = expect_set("csv:", folder, "", CN_SUBSET_ALL);
    assert_int_equal(cn_dataset_classes(data), 2);
    assert_string_equal(cn_dataset_class_name(data, 0), "007");
    assert_string_equal(cn_dataset_class_name(data, 1), "7");
    snprintf(expected, sizeof expected,
             "2 rows have the image of another row, 1 of them with another label: the first, "
             "%s/1.pgm\n",
             folder);
    assert_string_equal(cn_dataset_remarks(data), expected);
    cn_dataset_free(data);
    put_text(folder, "labels.csv", "path,label\n2.pgm,\"of\ntwo\"\n1.pgm\n");
    expect_failure("csv:", folder, "", CN_ERR_FORMAT, "labels.csv: line 4: expected path,label");
    remove_tree(folder);
}

/* "cat", "cat " and "cat" at the end of a CR LF line are one class. */
static void blanks_around_a_label_are_no_part_of_it(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    const char *const tables[] = {
        "1.pgm,cat\n1.pgm,cat \n1.pgm,\tcat\r\n 1.pgm , cat\n1.pgm,\"cat \"\n1.pgm,dog",
        "1.pgm,cat\r1.pgm,cat \r1.pgm,cat\r1.pgm,cat\r\r1.pgm,cat\r1.pgm,dog\r",
        ("path,label\r\r\n1.pgm,cat\r\r\n1.pgm,cat\r\r\n \n1.pgm,cat \"x\" \n1.pgm,cat \"x\"\n"
         "1.pgm,cat\n1.pgm,cat \"x\"\n")};
    files_make_folder(folder);
    put_gray(folder, "1.pgm", 1, 1, 1);
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        put_text(folder, "labels.csv", tables[i]);
        cn_dataset *data = expect_set("csv:", folder, "", CN_SUBSET_ALL);
        assert_int_equal(cn_dataset_size(data), 6);
        assert_int_equal(cn_dataset_classes(data), 2);
        assert_string_equal(cn_dataset_class_name(data, 0), "cat");
        cn_dataset_free(data);
    }
    /* An image of a kind that is not read is no heading. */
    put_text(folder, "labels.csv", "1.webp,cat\n1.pgm,cat\n");
    put_text(folder, "1.webp", "RIFF");
    expect_failure("csv:", folder, "", CN_ERR_UNSUPPORTED, "1.webp: byte 0");
    remove_tree(folder);
}

/* Columns are found by their names; the others are named. */
static void columns_have_names(void **state)
{
    static const struct {
        const char *table, *options, *remark;
    } cases[] = {
        {"label,width,Image_ID\ncat,3,1\ndog,3,2\ncat,3,deep/3\n", "", "the column width\n"},
        {"id;Target\n1;cat\n2.pgm;dog\n\"deep\\3.pgm\";cat\n", "", NULL},
        {"filename\tclass\textra\tmore\n1.pgm\tcat\ta\tb\n2\tdog\t\t\ndeep/3\tcat\t\t\n", "",
         "the columns extra, more\n"},
        {"category,path\ncat,1\ndog,2\ncat,deep/3\n", ",root=%s/all,size=1x1", NULL},
        /* Separators at the ends of lines, and lines of nothing else, as spreadsheets leave them. */
        {"id,label\n1,cat,\n,,\n2,dog,,\ndeep/3,cat\n,\n", "", NULL},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char folder[FILES_PATH], options[FILES_PATH + 32];
        const char *below = strstr(cases[k].options, "root=") ? "all/" : "";
        files_make_folder(folder);
        for (int i = 1; i <= 3; i++) {
            char name[32];
            snprintf(name, sizeof name, "%s%s%d.pgm", below, i == 3 ? "deep/" : "", i);
            put_gray(folder, name, 1, 1, 10 * i);
        }
        put_text(folder, "labels.csv", cases[k].table);
        snprintf(options, sizeof options, cases[k].options, folder);
        cn_dataset *data = expect_set("csv:", folder, options, CN_SUBSET_ALL);
        assert_int_equal(cn_dataset_size(data), 3);
        assert_string_equal(cn_dataset_class_name(data, 1), "dog");
        for (int i = 0; i < 3; i++) {
            assert_int_equal(cn_dataset_label(data, i), i == 1);
            assert_close(first_pixel(data, i), 10 * (i + 1), 1e-4);
        }
        if (cases[k].remark)
            assert_non_null(strstr(cn_dataset_remarks(data), cases[k].remark));
        else
            assert_null(strstr(cn_dataset_remarks(data), "column"));
        cn_dataset_free(data);
        remove_tree(folder);
    }
}

static void a_column_tells_the_part(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    for (int i = 0; i < 4; i++) {
        char name[16];
        snprintf(name, sizeof name, "%d.pgm", i);
        put_gray(folder, name, 1, 1, i);
    }
    put_text(folder, "labels.csv",
             "path,label,split\n0,a,Test\n1,b,training\n2,a,val\n3,a,train\n");
    const char *const images[] = {"1 3 ", "0 ", "2 "};
    for (int part = 0; part < 3; part++) {
        char text[32] = "";
        cn_dataset *data = expect_set("csv:", folder, "", (cn_subset)part);
        for (int i = 0; i < cn_dataset_size(data); i++)
            snprintf(text + strlen(text), 8, "%.0f ", first_pixel(data, i));
        assert_string_equal(text, images[part]);
        assert_int_equal(cn_dataset_label(data, 0), part == 0);
        cn_dataset_free(data);
    }
    put_text(folder, "labels.csv", "path,label,partition\n0,a,2\n1,b,0\n2,a,1\n3,a,0\n");
    cn_dataset *data = expect_set("csv:", folder, "", CN_SUBSET_TEST);
    assert_int_equal(cn_dataset_size(data), 1);
    assert_close(first_pixel(data, 0), 0, 0);
    cn_dataset_free(data);
    put_text(folder, "labels.csv", "path,label,split\n0,a,Test\n1,b,later\n");
    expect_failure("csv:", folder, "", CN_ERR_FORMAT, "line 3: split \"later\"");
    remove_tree(folder);
}

/* Masks in place of labels; and a test set without labels, as competitions have it. */
static void tables_have_masks_or_no_labels(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_gray(folder, "images/a.pgm", 2, 2, 10);
    put_text(folder, "m/a.pgm", "P2 2 2 255 0 1 2 0");
    put_text(folder, "train.csv", "image,mask_path\na,m/a.pgm\n");
    cn_dataset *data = expect_set("", folder, ",ignore=2", CN_SUBSET_TRAIN);
    assert_int_equal(cn_dataset_task(data), CN_TASK_SEGMENTATION);
    assert_memory_equal(cn_dataset_masks(data)->data, ((uint8_t[]){0, 1, 255, 0}), 4);
    cn_dataset_free(data);
    put_text(folder, "train.csv", "image,label\na,cat\n");
    put_text(folder, "test.csv", "image\na\n");
    data = expect_set("", folder, "", CN_SUBSET_TRAIN);
    assert_int_equal(cn_dataset_size(data), 1);
    assert_non_null(strstr(cn_dataset_remarks(data), "test.csv, which has no labels"));
    cn_dataset_free(data);
    remove_tree(folder);
}

/* label,pixel0,pixel1,... with a heading or without, the label first or not; bytes or floats. */
static void tables_of_pixels_are_images(void **state)
{
    static const char *const tables[] = {
        "label,pixel0,pixel1,pixel2,pixel3\n7,0,1,2,3\n5,255,0,0,4\n",
        "7,0,1,2,3\n5,255,0,0,4\n",
        "1x1,1x2,2x1,2x2,label\n0,1,2,3,7\n255,0,0,4,5\n",
        ",label,pixel0,pixel1,pixel2,pixel3\n0,7,0,1,2,3\n1,5,255,0,0,4\n",
    };
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH];
    files_make_folder(folder);
    files_join(path, folder, "digits_train.csv");
    put_text(folder, "digits_test.csv", "pixel0,pixel1,pixel2,pixel3\n0,1,2,3\n");
    for (size_t k = 0; k < sizeof tables / sizeof *tables; k++) {
        put_text(folder, "digits_train.csv", tables[k]);
        cn_dataset *data = expect_set("", path, "", CN_SUBSET_ALL);
        const cn_tensor *images = cn_dataset_images(data);
        assert_int_equal(images->dtype, CN_DTYPE_U8);
        assert_memory_equal(images->shape, ((int[]){2, 2, 2, 1}), 4 * sizeof(int));
        assert_memory_equal(images->data, ((uint8_t[]){0, 1, 2, 3, 255, 0, 0, 4}), 8);
        assert_string_equal(cn_dataset_class_name(data, 0), "5");
        assert_int_equal(cn_dataset_label(data, 0), 1);
        assert_non_null(strstr(cn_dataset_remarks(data), "digits_test.csv, which has no labels"));
        cn_dataset_free(data);
    }
    put_text(folder, "digits_train.csv", "label,a,b,c,d,e,f\n0,0,0.5,1,0,0,1\n");
    cn_dataset *data = expect_set("", path, ",size=1x2", CN_SUBSET_ALL);
    assert_int_equal(cn_dataset_images(data)->dtype, CN_DTYPE_F32);
    assert_memory_equal(cn_dataset_shape(data), ((int[]){1, 2, 3}), 3 * sizeof(int));
    cn_dataset_free(data);
    expect_failure("", path, "", CN_ERR_FORMAT, "6 pixels in a row");
    put_text(folder, "digits_train.csv", "label,a,b,c,d\n0,0,0,1,0\n1,2,3,4\n");
    expect_failure("", path, "", CN_ERR_FORMAT, "line 3: 4 fields, expected 5");
    put_text(folder, "digits_train.csv", "label,a,b,c,d\n0,0,0,1,0\n1,2,3,x,4\n");
    expect_failure("", path, "", CN_ERR_FORMAT, "line 3: pixel \"x\"");
    remove_tree(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_names_images),
        cmocka_unit_test(labels_may_be_numbers),
        cmocka_unit_test(labels_may_begin_with_zeros),
        cmocka_unit_test(blanks_around_a_label_are_no_part_of_it),
        cmocka_unit_test(columns_have_names),
        cmocka_unit_test(a_column_tells_the_part),
        cmocka_unit_test(tables_have_masks_or_no_labels),
        cmocka_unit_test(tables_of_pixels_are_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
