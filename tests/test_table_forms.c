/* What the cells of tables hold besides plain numbers and names: labels that are missing, numbers in
 * percent, with a decimal comma and in groups of digits, lists of numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convnet.h"
#include "trees.h"

static char folder[FILES_PATH];

static int make_images(void **state)
{
    static const char *const names[] = {"a.pgm", "b.pgm", "c.pgm"};
    (void)state;
    files_make_folder(folder);
    for (int i = 0; i < 3; i++) put_gray(folder, names[i], 2, 2, 10 * i);
    return 0;
}

static int remove_images(void **state)
{
    (void)state;
    remove_tree(folder);
    return 0;
}

static cn_status load(cn_dataset **data, const char *text, const char *options, cn_error *err)
{
    char spec[FILES_PATH + 64];
    put_text(folder, "t.csv", text);
    snprintf(spec, sizeof spec, "csv:%s/t.csv%s", folder, options);
    return cn_dataset_load(data, spec, CN_SUBSET_TRAIN, NULL, err);
}

static void expect_failure(const char *text, const char *options, const char *part)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    assert_int_not_equal(load(&data, text, options, &err), CN_OK);
    assert_null(data);
    assert_says(err, part);
}

/* Names of classes, labels or numbers, a remark, and for other tasks than classes the targets. */
static void expect_set(const char *text, const char *options, cn_task_kind task, const char *names,
                       const char *remark, int n, const float *targets)
{
    char found[200] = "";
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    if (load(&data, text, options, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(cn_dataset_task(data), task);
    for (int i = 0; i < cn_dataset_classes(data); i++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%s", i ? "," : "",
                 cn_dataset_class_name(data, i));
    assert_string_equal(found, names);
    if (!strstr(cn_dataset_remarks(data), remark))
        fail_msg("\"%s\" lacks \"%s\"", cn_dataset_remarks(data), remark);
    const cn_tensor *t = cn_dataset_targets(data);
    for (int i = 0; i < n; i++)
        if (((const float *)t->data)[i] != targets[i])
            fail_msg("target %d is %.9g, expected %.9g", i, (double)((const float *)t->data)[i],
                     (double)targets[i]);
    if (targets) assert_int_equal(cn_tensor_count(t), n);
    cn_dataset_free(data);
}

static void a_missing_label_is_no_class(void **state)
{
    static const char *const missing[] = {"nan",  "NaN",  "NA",   "N/A",  "n/a",
                                          "#N/A", "<NA>", "null", "NULL", "None"};
    char text[96];
    (void)state;
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++) {
        snprintf(text, sizeof text, "path,label\na.pgm,x\nb.pgm,%s\nc.pgm,y\n", missing[i]);
        expect_failure(text, "", "line 3: expected path,label, found no label (nan, NA, None");
        snprintf(text, sizeof text, "path,label\na.pgm,1\nb.pgm,%s\nc.pgm,0\n", missing[i]);
        expect_failure(text, "", "line 3: expected path,label, found no label (nan, NA, None");
    }
    /* Unless all labels are said to be names. */
    expect_set("path,label\na.pgm,NA\nb.pgm,EU\nc.pgm,AS\n", ",task=classification",
               CN_TASK_CLASSIFICATION, "AS,EU,NA", "", 0, NULL);
    expect_set("path,label\na.pgm,none\nb.pgm,crack\nc.pgm,Null\n", "", CN_TASK_CLASSIFICATION,
               "Null,crack,none", "", 0, NULL);
    expect_failure("path,label\na.pgm,\nb.pgm,x\n", ",task=classification",
                   "line 2: expected path,label, found no label");
    expect_failure("path,label\na.pgm,0.5\nb.pgm,nan\nc.pgm,2\n", "",
                   "line 3: expected path,label, found no label (nan");
    expect_failure("path,label\na.pgm,0.5\nb.pgm,NA\nc.pgm,2\n", ",task=regression",
                   "line 3: \"NA\", expected a number");
    expect_failure("label,p0,p1,p2,p3\n1,0,0,0,0\nnan,1,1,1,1\n", "",
                   "line 3: \"nan\", expected a label");
}

static void missing_labels_of_several_are_none(void **state)
{
    (void)state;
    expect_set("path,label\na.pgm,x|y\nb.pgm,nan\nc.pgm,y\n", "", CN_TASK_MULTI_LABEL, "x,y",
               "labels such as nan and NA are taken for none: 1", 6, (float[]){1, 1, 0, 0, 0, 1});
    expect_set("path,sea,tree\na.pgm,NaN,1\nb.pgm,1,1\nc.pgm,0,NA\n", "", CN_TASK_MULTI_LABEL,
               "sea,tree", "2 labels that are empty or -1", 6, (float[]){0, 1, 1, 1, 0, 0});
    expect_failure("path,age,weight\na.pgm,41,7.5\nb.pgm,3,NA\n", "",
                   "line 3: \"NA\" in column weight, expected a number");
}

static void percents_are_numbers(void **state)
{
    (void)state;
    expect_set("path,label\na.pgm,45%\nb.pgm,7 %\nc.pgm,100%\n", "", CN_TASK_REGRESSION, "label",
               "\"45%\" is read as the number 45", 3, (float[]){45, 7, 100});
    expect_set("path,x,y\na.pgm,45%,1\nb.pgm,-0.5%,2\n", "", CN_TASK_REGRESSION, "x,y",
               "\"45%\" is read as the number 45", 4, (float[]){45, 1, -0.5F, 2});
    /* As names, and where not all of a column are in percent. */
    expect_set("path,label\na.pgm,45%\nb.pgm,7%\n", ",task=classification", CN_TASK_CLASSIFICATION,
               "45%,7%", "", 0, NULL);
    expect_set("path,label\na.pgm,45%\nb.pgm,rest\n", "", CN_TASK_CLASSIFICATION, "45%,rest", "", 0,
               NULL);
    expect_failure("path,x,y\na.pgm,45%,1\nb.pgm,0.5,2\n", "",
                   "line 2: \"45%\" in column x, expected a number");
    expect_failure("path,label\na.pgm,45%\nb.pgm,7\n", ",task=regression",
                   "line 2: \"45%\", expected a number");
}

static void a_comma_may_stand_for_the_point(void **state)
{
    (void)state;
    expect_set("path;label\na.pgm;3,5\nb.pgm;-1,25\nc.pgm;2\n", "", CN_TASK_REGRESSION, "label",
               "\"3,5\" is read as the number 3.5", 3, (float[]){3.5F, -1.25F, 2});
    expect_set("path\tx\ty\na.pgm\t2\t1,5%\nb.pgm\t0,5\t2%\n", "", CN_TASK_REGRESSION, "x,y",
               "\"0,5\" is read as the number 0.5", 4, (float[]){2, 1.5F, 0.5F, 2});
    expect_set("path;label\na.pgm;3,5\nb.pgm;wide, red\n", "", CN_TASK_CLASSIFICATION,
               "3,5,wide, red", "", 0, NULL);
    expect_failure("path;x;y\na.pgm;3,5;1\nb.pgm;1,2,3;2\n", "",
                   "line 2: \"3,5\" in column x, expected a number");
}

/* Groups of three digits, in English and in German. */
static void groups_of_digits_are_numbers(void **state)
{
    (void)state;
    expect_set("path,price\na.pgm,\"1,234.5\"\nb.pgm,-12\nc.pgm,\"1,000,000\"\n", "",
               CN_TASK_REGRESSION, "price", "\"1,234.5\" is read as the number 1234.5", 3,
               (float[]){1234.5F, -12, 1000000});
    expect_set("path;x;y\na.pgm;1.234,5;7\nb.pgm;1,234.5;1,234,567\n", "", CN_TASK_REGRESSION,
               "x,y", "\"1.234,5\" is read as the number 1234.5", 4,
               (float[]){1234.5F, 7, 1234.5F, 1234567});
    expect_set("path,label\na.pgm,\"1,2\"\nb.pgm,\"1,0000\"\n", "", CN_TASK_CLASSIFICATION,
               "1,0000,1,2", "", 0, NULL);
}

/* Floats that are whole, as pandas writes a column that has lost a number. */
static void whole_floats_are_whole(void **state)
{
    (void)state;
    expect_set("path,label\na.pgm,10.0\nb.pgm,2.0\nc.pgm,2\n", "", CN_TASK_CLASSIFICATION, "2,10",
               "labels from 2 to 10 make 2 classes", 0, NULL);
    expect_set("path,label\na.pgm,1.0.0\nb.pgm,2.\nc.pgm,.0\n", "", CN_TASK_CLASSIFICATION,
               ".0,1.0.0,2.", "", 0, NULL);
}

static void lists_of_numbers_are_no_labels(void **state)
{
    static const char *const lists[][2] = {{"[0, 1, 0]", "[1, 0, 0]"},
                                           {"[0 1]", "[1 0]"},
                                           {"[0.5, 2]", "[3, 4]"},
                                           {"[0, 1]", "[1, 0]"}};
    char text[96];
    (void)state;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        snprintf(text, sizeof text, "path,label\na.pgm,\"%s\"\nb.pgm,\"%s\"\n", lists[i][0],
                 lists[i][1]);
        expect_failure(text, "", "]\": expected a list of labels, found one of numbers");
    }
    expect_set("path,label\na.pgm,\"[3, 1]\"\nb.pgm,[1]\nc.pgm,[]\n", "", CN_TASK_MULTI_LABEL,
               "1,3", "", 6, (float[]){1, 1, 1, 0, 0, 0});
}

/* A blank that does not break lines, as pages and spreadsheets have it, is a blank. */
static void other_blanks_are_blanks(void **state)
{
    (void)state;
    expect_set("path,label,data set\na.pgm,cat\xc2\xa0,train\nb.pgm,cat \xc2\xa0 ,train\n"
               "c.pgm,dog,test\n",
               "", CN_TASK_CLASSIFICATION, "cat,dog", "", 0, NULL);
}

/* A line of JSON is a row, and the keys of the first are the heading. */
static void lines_may_be_json(void **state)
{
    (void)state;
    expect_set(
        "{\"file_name\": \"a.pgm\", \"label\": \"cat, \\\"big\\\"\", \"more\": {\"x\": [1]}}\r\n\n"
        "{\"label\": \"dog\", \"file_name\": \"b.pgm\"}\n"
        "{\"label\": \"cat, \\\"big\\\"\", \"file_name\": \"c.pgm\", \"more\": null}",
        "", CN_TASK_CLASSIFICATION, "cat, \"big\",dog", "passed over the column more", 0, NULL);
    expect_set(
        "{\"image\":\"a.pgm\",\"labels\":[\"x\",\"y\"]}\n{\"image\":\"b.pgm\",\"labels\":[]}\n"
        "{\"image\":\"c.pgm\",\"labels\":[\"y\"]}\n",
        "", CN_TASK_MULTI_LABEL, "x,y", "", 6, (float[]){1, 1, 0, 0, 0, 1});
    expect_set("{\"image\":\"a.pgm\",\"age\":1.5}\n{\"image\":\"b.pgm\",\"age\":-2}\n"
               "{\"image\":\"c.pgm\",\"age\":3e1}\n",
               ",columns=age", CN_TASK_REGRESSION, "age", "", 3, (float[]){1.5, -2, 30});
    expect_failure("{\"image\":\"a.pgm\",\"label\":1}\n\n{\"image\":\"b.pgm\",\"class\":1}\n", "",
                   "t.csv: line 3: the key class, which the first line has not");
    expect_failure("{\"image\":\"a.pgm\",\"label\":1}\n{\"image\":\n", "",
                   "t.csv: byte 37: line 2: ");
    expect_failure("{\"image\":\"a.pgm\",\"label\":1}\n[1]\n", "", "line 2: expected an object");
    expect_failure("{}\n", "", "line 1: expected an object");
    expect_failure("{\"image\":\"z.pgm\",\"label\":1}\n", "", "t.csv: line 1: no image z.pgm");
}

/* The pixels of the images of a split, row by row, and their labels. */
static void expect_pixels(const char *options, cn_subset subset, int n, const uint8_t *pixels,
                          const int32_t *labels)
{
    char spec[FILES_PATH + 64];
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    snprintf(spec, sizeof spec, "csv:%s/t.csv%s", folder, options);
    if (cn_dataset_load(&data, spec, subset, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(cn_dataset_size(data), n);
    const cn_tensor *images = cn_dataset_images(data);
    assert_int_equal(images->dtype, CN_DTYPE_U8);
    assert_memory_equal(images->data, pixels, cn_tensor_count(images));
    for (int i = 0; i < n; i++) assert_int_equal(cn_dataset_label(data, i), labels[i]);
    cn_dataset_free(data);
}

/* FER2013: all pixels in a field, and a column for the parts. */
static void pixels_may_share_a_field(void **state)
{
    static const char rows[] = "1,1 2 3 4,Training\n0,5 6  7 8 ,PrivateTest\n"
                               "2,9 10 11 12,PublicTest\n0,13 14 15 255,Training\n";
    char text[256];
    (void)state;
    snprintf(text, sizeof text, "emotion,pixels,Usage\n%s", rows);
    put_text(folder, "t.csv", text);
    expect_pixels("", CN_SUBSET_TRAIN, 2, (uint8_t[]){1, 2, 3, 4, 13, 14, 15, 255},
                  (int32_t[]){1, 0});
    expect_pixels("", CN_SUBSET_TEST, 1, (uint8_t[]){5, 6, 7, 8}, (int32_t[]){0});
    expect_pixels(",size=1x4", CN_SUBSET_VALIDATION, 1, (uint8_t[]){9, 10, 11, 12}, (int32_t[]){2});
    expect_pixels("", CN_SUBSET_ALL, 4,
                  (uint8_t[]){1, 2, 3, 4, 13, 14, 15, 255, 5, 6, 7, 8, 9, 10, 11, 12},
                  (int32_t[]){1, 0, 0, 2});
    put_text(folder, "t.csv", "emotion, Usage, pixels\n1,Training,1 2 3 4\n0,Training,5 6 7 8\n");
    expect_pixels("", CN_SUBSET_TRAIN, 2, (uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8}, (int32_t[]){1, 0});
    /* Two columns, no part: every fifth would be to test on. */
    put_text(folder, "t.csv", "pixels,label\n1 2 3 4,1\n5 6 7 8,0\n");
    expect_pixels("", CN_SUBSET_TRAIN, 2, (uint8_t[]){1, 2, 3, 4, 5, 6, 7, 8}, (int32_t[]){1, 0});
    expect_failure("emotion,pixels\n1,1 2 3 4\n0,1 2 3\n", "",
                   "line 3: pixel \"\", expected a number");
    expect_failure("emotion,pixels\n1,1 2 3 4\n0,1 2 3 4 5\n", "",
                   "line 3: pixel \"5\", expected a number");
    expect_failure("emotion,pixels\n1,1 2 3 4\n0,1 2 x 4\n", "",
                   "line 3: pixel \"x 4\", expected a number");
    expect_failure("emotion,pixels,Usage\n1,1 2 3 4,Training\n0,1 2 3 4,Later\n", "",
                   "line 3: \"Later\", expected a part");
    expect_failure("emotion,pixels\n1,1 2 3 4 5\n", "", "5 pixels in a row");
    expect_failure("emotion,pixels,Usage\n1,1 2 3 4,Training\n0,1 2 3 4\n", "",
                   "line 3: 2 fields, expected 3");
    expect_failure("pixels\n1 2 3 4\n", "", "expected a column called label");
}

/* UTF-16 with its mark, in both orders of bytes, as spreadsheets and Windows write it. */
static void tables_may_be_wide(void **state)
{
    static const uint16_t text[] = {0xfeff, 'p', 'a',  't',    'h',    '\t',   'l', 'a',
                                    'b',    'e', 'l',  '\r',   '\n',   'a',    '.', 'p',
                                    'g',    'm', '\t', 0xe9,   '\n',   'b',    '.', 'p',
                                    'g',    'm', '\t', 0x20ac, 0xd83d, 0xde00, '\n'};
    enum { UNITS = sizeof text / sizeof *text };
    (void)state;
    for (int big = 0; big < 2; big++) {
        uint8_t bytes[2 * UNITS];
        for (int i = 0; i < UNITS; i++) {
            bytes[2 * i + !big] = (uint8_t)(text[i] >> 8);
            bytes[2 * i + big] = (uint8_t)text[i];
        }
        char spec[FILES_PATH + 64];
        cn_dataset *data = NULL;
        cn_error err = {CN_OK, ""};
        put(folder, "t.csv", bytes, sizeof bytes);
        snprintf(spec, sizeof spec, "csv:%s/t.csv", folder);
        if (cn_dataset_load(&data, spec, CN_SUBSET_TRAIN, NULL, &err) != CN_OK)
            fail_msg("%s", err.text);
        assert_int_equal(cn_dataset_size(data), 2);
        assert_string_equal(cn_dataset_class_name(data, 0), "\xc3\xa9");
        assert_string_equal(cn_dataset_class_name(data, 1), "\xe2\x82\xac\xf0\x9f\x98\x80");
        cn_dataset_free(data);
        data = NULL;
        put(folder, "t.csv", bytes, sizeof bytes - 4); /* half of a pair */
        assert_int_equal(cn_dataset_load(&data, spec, CN_SUBSET_TRAIN, NULL, &err), CN_ERR_FORMAT);
        assert_says(err, "expected text in UTF-8, found another encoding");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_label_is_no_class),
        cmocka_unit_test(missing_labels_of_several_are_none),
        cmocka_unit_test(percents_are_numbers),
        cmocka_unit_test(pixels_may_share_a_field),
        cmocka_unit_test(a_comma_may_stand_for_the_point),
        cmocka_unit_test(groups_of_digits_are_numbers),
        cmocka_unit_test(whole_floats_are_whole),
        cmocka_unit_test(lists_of_numbers_are_no_labels),
        cmocka_unit_test(other_blanks_are_blanks),
        cmocka_unit_test(lines_may_be_json),
        cmocka_unit_test(tables_may_be_wide),
    };
    return cmocka_run_group_tests(tests, make_images, remove_images);
}
