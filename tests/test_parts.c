/* The parts of a set: to train, to test and to validate on, given or made; what is passed over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convnet.h"
#include "data/dataset.h"
#include "data/passed.h"
#include "data/paths.h"
#include "trees.h"

/* The set, or NULL where it has no such part. */
static cn_dataset *load(const char *spec, cn_subset split)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    if (cn_dataset_load(&data, spec, split, NULL, &err) != CN_OK)
        fail_msg("%s: %s", spec, err.text);
    return data;
}

static void expect_failure(const char *spec, cn_subset split, const char *part)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    assert_int_not_equal(cn_dataset_load(&data, spec, split, NULL, &err), CN_OK);
    assert_null(data);
    assert_says(err, part);
}

/* The images' numbers, which are the values of their first bytes, as text: "1 2 3 ". */
static const char *numbers(const cn_dataset *data, char text[256])
{
    static float x[64];
    int32_t label;
    text[0] = 0;
    for (int i = 0; data && i < cn_dataset_size(data); i++) {
        cn_dataset_batch(data, &i, 1, NULL, NULL, x, &label, NULL);
        snprintf(text + strlen(text), 256 - strlen(text), "%d ", (int)(x[0] * 255 + 0.5f));
    }
    return text;
}

static void expect_numbers(const char *spec, cn_subset split, const char *expected,
                           const char *remarks)
{
    char text[256];
    cn_dataset *data = load(spec, split);
    assert_string_equal(numbers(data, text), expected);
    assert_string_equal(data ? cn_dataset_remarks(data) : "", remarks);
    cn_dataset_free(data);
}

/* Class a, images first .. last. */
static void put_class(const char *folder, const char *class_name, int first, int last)
{
    for (int i = first; i <= last; i++) {
        char name[128];
        snprintf(name, sizeof name, "%.60s/%03d.pgm", class_name, i);
        put_gray(folder, name, 2, 2, i);
    }
}

static const char stand_in[] = "no images to test on: those to validate on stand in for them\n";

/* ---- Parts */

static void a_folder_in_three_parts(void **state)
{
    (void)state;
    const char *names[][3] = {{"train", "test", "val"},
                              {"Train", "Test", "Valid"},
                              {"training", "testing", "validation"},
                              {"TRAIN", "TEST", "Val"}};
    for (int i = 0; i < 4; i++) {
        char folder[FILES_PATH], name[64];
        files_make_folder(folder);
        for (int part = 0; part < 3; part++) {
            snprintf(name, sizeof name, "%s/a", names[i][part]);
            put_class(folder, name, 10 * part, 10 * part + 5 - part);
        }
        expect_numbers(folder, CN_SUBSET_TRAIN, "0 1 2 3 4 5 ", "");
        expect_numbers(folder, CN_SUBSET_TEST, "10 11 12 13 14 ", "");
        expect_numbers(folder, CN_SUBSET_TEST_OR_ALL, "10 11 12 13 14 ", "");
        expect_numbers(folder, CN_SUBSET_VALIDATION, "20 21 22 23 ", "");
        expect_numbers(folder, CN_SUBSET_ALL, "0 1 2 3 4 5 10 11 12 13 14 20 21 22 23 ", "");
        remove_tree(folder);
    }
}

static void the_validation_part_stands_in_for_a_missing_test_part(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_class(folder, "train/a", 0, 5);
    put_class(folder, "val/a", 7, 8);
    expect_numbers(folder, CN_SUBSET_TRAIN, "0 1 2 3 4 5 ", stand_in);
    expect_numbers(folder, CN_SUBSET_TEST, "7 8 ", stand_in);
    expect_numbers(folder, CN_SUBSET_VALIDATION, "7 8 ", "");
    expect_numbers(folder, CN_SUBSET_TEST_OR_ALL, "7 8 ", stand_in);
    remove_tree(folder);
}

static void without_parts_every_fifth_is_for_testing(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_class(folder, "a", 0, 5);
    put_class(folder, "b", 6, 6);
    expect_numbers(folder, CN_SUBSET_TRAIN, "0 1 2 3 5 6 ", "");
    expect_numbers(folder, CN_SUBSET_TEST, "4 ", "");
    expect_numbers(folder, CN_SUBSET_ALL, "0 1 2 3 4 5 6 ", "");
    expect_numbers(folder, CN_SUBSET_TEST_OR_ALL, "0 1 2 3 4 5 6 ",
                   "no images set apart for testing: the figures are of all 7\n");
    assert_null(load(folder, CN_SUBSET_VALIDATION));
    remove_tree(folder);
}

static void fewer_than_five_images_are_all_learnt_and_tested(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    const char few[] = "too few images to set any apart for testing: training and testing use the "
                       "same 4\n";
    files_make_folder(folder);
    put_class(folder, "a", 1, 4);
    expect_numbers(folder, CN_SUBSET_TRAIN, "1 2 3 4 ", few);
    expect_numbers(folder, CN_SUBSET_TEST, "1 2 3 4 ", few);
    remove_tree(folder);
}

static void a_class_may_be_called_train(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_class(folder, "car", 0, 5);
    put_class(folder, "train", 6, 9);
    cn_dataset *data = load(folder, CN_SUBSET_ALL);
    assert_int_equal(cn_dataset_size(data), 10);
    assert_string_equal(cn_dataset_class_name(data, 1), "train");
    cn_dataset_free(data);
    remove_tree(folder);
    files_make_folder(folder);
    put_class(folder, "cat/test", 0, 1);
    put_class(folder, "cat/train", 2, 4);
    put_class(folder, "dog/train", 5, 9);
    expect_failure(folder, CN_SUBSET_ALL,
                   "cat: expected the images of a class, found test and train");
    remove_tree(folder);
    files_make_folder(folder);
    put_class(folder, "train", 0, 5); /* but not the only one: classes are missing */
    expect_failure(folder, CN_SUBSET_ALL, "for each class in train, found images without a class");
    remove_tree(folder);
}

/* As archives have them: the words among others, a folder in one of its own name or in one by
 * itself. Parts without classes are none themselves. */
static void folders_lie_as_archives_leave_them(void **state)
{
    (void)state;
    static const struct {
        const char *train, *test, *remarks;
    } forms[] = {{"train/%s", "eval/%s", stand_in},
                 {"training_set/training_set/%s", "test_set/test_set/%s", ""},
                 {"seg_train/%s", "seg_test/%s", ""},
                 {"flowers/train/%s", "flowers/dev/%s", NULL}};
    char folder[FILES_PATH], name[64], remark[FILES_PATH + 128];
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        files_make_folder(folder);
        for (int k = 0; k < 2; k++) {
            snprintf(name, sizeof name, forms[i].train, k ? "b" : "a");
            put_class(folder, name, 1 + 2 * k, 2 + 2 * k);
            snprintf(name, sizeof name, forms[i].test, k ? "b" : "a");
            put_class(folder, name, 5 + k, 5 + k);
        }
        snprintf(remark, sizeof remark, "the set is what lies in %s/flowers\n%s", folder, stand_in);
        expect_numbers(folder, CN_SUBSET_TRAIN, "1 2 3 4 ",
                       forms[i].remarks ? forms[i].remarks : remark);
        expect_numbers(folder, CN_SUBSET_TEST, "5 6 ",
                       forms[i].remarks ? forms[i].remarks : remark);
        remove_tree(folder);
    }
    files_make_folder(folder);
    put_class(folder, "train", 1, 2);
    put_class(folder, "valid", 3, 3);
    expect_failure(folder, CN_SUBSET_TRAIN, "for each class in train and valid, found images");
    put_class(folder, "plane", 4, 4); /* now they are classes */
    expect_numbers(folder, CN_SUBSET_ALL, "4 1 2 3 ", "");
    remove_tree(folder);
}

static void folders_of_classes_may_lie_deeper(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_class(folder, "fold1/cat", 0, 2);
    put_class(folder, "fold1/dog", 3, 5);
    put_class(folder, "fold2/cat", 6, 8);
    put_class(folder, "fold2/dog", 9, 9);
    cn_dataset *data = load(folder, CN_SUBSET_ALL);
    assert_string_equal(
        cn_dataset_remarks(data),
        "the classes fold1 and fold2 hold the same folders, cat and dog among them: "
        "where these are the classes, name the folder above them\n");
    cn_dataset_free(data);
    put_class(folder, "fold2", 0, 0); /* images beside them make a class */
    data = load(folder, CN_SUBSET_ALL);
    assert_string_equal(cn_dataset_remarks(data), "");
    cn_dataset_free(data);
    remove_tree(folder);
}

static void a_part_must_be_there_once(void **state)
{
    (void)state;
    char folder[FILES_PATH], spec[FILES_PATH + 16];
    files_make_folder(folder);
    put_class(folder, "train/a", 0, 5);
    put_class(folder, "val/a", 0, 5);
    put_class(folder, "validation/a", 0, 5);
    snprintf(spec, sizeof spec, "folder:%s", folder);
    expect_failure(spec, CN_SUBSET_TRAIN, "validation: both the same part of the set");
    remove_tree(folder);
}

/* A set of which only the test part is there can be measured on. */
static void a_test_part_alone_is_enough_to_test_on(void **state)
{
    (void)state;
    char folder[FILES_PATH], spec[FILES_PATH + 16];
    files_make_folder(folder);
    put_class(folder, "test/a", 0, 1);
    put_class(folder, "test/b", 2, 2);
    expect_numbers(folder, CN_SUBSET_TEST_OR_ALL, "0 1 2 ", "");
    snprintf(spec, sizeof spec, "folder:%s", folder);
    expect_failure(spec, CN_SUBSET_TRAIN, "expected images to train on, found 3 in all");
    remove_tree(folder);
}

static void tables_come_in_three_parts(void **state)
{
    (void)state;
    const char *names[][3] = {{"train.csv", "test.csv", "val.csv"},
                              {"my_train.csv", "my_test.csv", "my_valid.csv"},
                              {"Train.csv", "Test.csv", "Validation.csv"}};
    for (int i = 0; i < 3; i++) {
        char folder[FILES_PATH], spec[FILES_PATH + 16], name[32];
        files_make_folder(folder);
        for (int part = 0; part < 3; part++) {
            snprintf(name, sizeof name, "%d.pgm", part);
            put_gray(folder, name, 1, 1, part);
            snprintf(name, sizeof name, "%d.pgm,%c\n", part, 'a' + part);
            put_text(folder, names[i][part], name);
        }
        for (int given = 0; given < 3; given++) {
            snprintf(spec, sizeof spec, "csv:%s/%s", folder, names[i][given]);
            expect_numbers(spec, CN_SUBSET_TRAIN, "0 ", "");
            expect_numbers(spec, CN_SUBSET_TEST, "1 ", "");
            expect_numbers(spec, CN_SUBSET_VALIDATION, "2 ", "");
        }
        remove_tree(folder);
    }
}

static void digits_have_two_parts(void **state)
{
    (void)state;
    cn_dataset *all = load("digits", CN_SUBSET_ALL), *test = load("digits", CN_SUBSET_TEST_OR_ALL);
    assert_int_equal(cn_dataset_size(all), 1797);
    assert_int_equal(cn_dataset_size(test), 359);
    assert_string_equal(cn_dataset_remarks(test), "");
    assert_null(load("digits", CN_SUBSET_VALIDATION));
    cn_dataset_free(all);
    cn_dataset_free(test);
}

static void names_say_what_part_they_are(void **state)
{
    (void)state;
    const struct {
        const char *name;
        cn_said said;
    } cases[] = {{"x_train", CN_SAYS_TRAIN},         {"TrainImages", CN_SAYS_TRAIN},
                 {"X_TEST", CN_SAYS_TEST},           {"x_val", CN_SAYS_VALIDATION},
                 {"val_images", CN_SAYS_VALIDATION}, {"Xval", CN_SAYS_VALIDATION},
                 {"valY", CN_SAYS_VALIDATION},       {"valImages", CN_SAYS_VALIDATION},
                 {"y_valid", CN_SAYS_VALIDATION},    {"validation/images", CN_SAYS_VALIDATION},
                 {"values", CN_SAYS_NOTHING},        {"interval", CN_SAYS_NOTHING},
                 {"evaluation", CN_SAYS_NOTHING},    {"images", CN_SAYS_NOTHING},
                 {"latest", CN_SAYS_NOTHING},        {"contest_x", CN_SAYS_NOTHING},
                 {"strained", CN_SAYS_NOTHING},      {"Xtest", CN_SAYS_TEST},
                 {"myTrain", CN_SAYS_TRAIN},         {"trainset", CN_SAYS_TRAIN},
                 {"TRAINX", CN_SAYS_TRAIN},          {"cats2test", CN_SAYS_TEST}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (cn_name_says(cases[i].name) != cases[i].said)
            fail_msg("%s says %d", cases[i].name, (int)cn_name_says(cases[i].name));
    assert_int_equal(cn_name_is("Validation"), CN_SAYS_VALIDATION);
    assert_int_equal(cn_name_is("trains"), CN_SAYS_NOTHING);
}

/* ---- What is passed over */

static void files_of_other_kinds_are_counted(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_class(folder, "a", 0, 5);
    const char *others[] = {"a/1.avif", "a/2.Avif", "b/3.avif", "a/1.heic", "a/README"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) put_text(folder, others[i], "x");
    const char *litter[] = {"a/.DS_Store", "a/Thumbs.db", "a/desktop.ini",   "__MACOSX/a/1.pgm",
                            "a/._1.pgm",   ".git/a.pgm",  "a/__MACOSX/1.pgm"};
    for (size_t i = 0; i < sizeof litter / sizeof *litter; i++) put_text(folder, litter[i], "x");
    put_class(folder, "b", 6, 6);
    put_class(folder, "a/deeper", 7, 7);
    put_class(folder, "fish/.hidden", 7, 7);
    put_gray(folder, "stray.pgm", 1, 1, 9);
    expect_numbers(folder, CN_SUBSET_TRAIN, "0 1 2 3 5 7 6 ",
                   "passed over the folder fish, which has no images\n"
                   "passed over 1 image outside of any class\n"
                   "passed over the folder __MACOSX, which systems and archives leave\n"
                   "passed over 3 .avif, 1 without an ending, 1 .heic\n");
    cn_dataset *data = load(folder, CN_SUBSET_TRAIN);
    assert_int_equal(cn_dataset_classes(data), 2);
    cn_dataset_free(data);
    remove_tree(folder);
}

static void what_lies_beside_the_parts_is_said(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_class(folder, "train/a", 0, 5);
    put_class(folder, "train/b", 6, 6);
    put_text(folder, "train/c/1.avif", "x");
    put_class(folder, "val/a", 7, 7);
    put_class(folder, "val/c", 8, 8);
    put_class(folder, "test", 9, 9); /* without classes */
    cn_dataset *data = load(folder, CN_SUBSET_VALIDATION);
    assert_int_equal(cn_dataset_label(data, 1), 2);
    assert_string_equal(cn_dataset_remarks(data),
                        "class c has no images to train on\n"
                        "passed over the folder test, which is no part of the set\n"
                        "passed over 1 .avif\n");
    cn_dataset_free(data);
    remove_tree(folder);
}

/* A test or validation set whose images have no classes: in a folder by itself (test/unknown), as one
 * trained by folders wants them, or val/images with a list beside it. */
static void a_part_without_classes_is_passed_over(void **state)
{
    (void)state;
    char folder[FILES_PATH], remark[FILES_PATH * 2 + 64];
    files_make_folder(folder);
    put_class(folder, "train/a", 0, 4);
    put_class(folder, "train/b", 5, 9);
    put_class(folder, "test/unknown", 10, 12);
    snprintf(remark, sizeof remark,
             "passed over %s/test, whose only folder, unknown, is no class to train on\n", folder);
    expect_numbers(folder, CN_SUBSET_TRAIN, "0 1 2 3 5 6 7 8 ", remark);
    expect_numbers(folder, CN_SUBSET_TEST, "4 9 ", remark);
    put_class(folder, "test/other", 13, 13);
    expect_failure(folder, CN_SUBSET_TEST, "other is no class to train on");
    remove_tree(folder);
}

/* Archives that hold the set twice; and images in the folder of a part, but in none of a class. */
static void what_is_there_twice_counts_once(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_class(folder, "no", 0, 1);
    put_class(folder, "scans/no", 0, 1);
    put_class(folder, "scans/yes", 2, 3);
    put_class(folder, "yes", 2, 3);
    expect_numbers(folder, CN_SUBSET_ALL, "0 1 2 3 ",
                   "passed over the folder scans, which holds the classes again\n");
    remove_tree(folder);
    files_make_folder(folder);
    put_class(folder, "train/a", 0, 1);
    put_class(folder, "train/a/train/a", 2, 2); /* one of them is a folder within a class */
    put_class(folder, "train/b", 3, 4);
    put_class(folder, "train/c/a", 5, 5);
    put_class(folder, "train/c/b", 6, 6);
    put_class(folder, "test/a", 7, 7);
    put_class(folder, "test/b", 8, 8);
    put_class(folder, "test", 9, 10);
    expect_numbers(folder, CN_SUBSET_TEST, "7 8 ",
                   "passed over the folder c, which holds the classes again\n"
                   "passed over 2 images outside of any class\n");
    remove_tree(folder);
}

static void a_file_beside_a_single_class_may_have_the_labels(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_class(folder, "jpg", 0, 1);
    put_text(folder, "list.txt", "1 rose\n");
    put_text(folder, "setid.mat", "x");
    expect_numbers(folder, CN_SUBSET_ALL, "0 1 ",
                   "a single class, jpg: list.txt may have the labels: csv:PATH reads it\n");
    put_class(folder, "png", 2, 3);
    expect_numbers(folder, CN_SUBSET_ALL, "0 1 2 3 ", "");
    remove_tree(folder);
}

/* What is no image lies beside the set, as annotations do. */
static void a_folder_beside_others_without_images_is_the_set(void **state)
{
    (void)state;
    char folder[FILES_PATH], remark[FILES_PATH + 64];
    files_make_folder(folder);
    put_class(folder, "objects/a", 0, 1);
    put_class(folder, "objects/b/deep", 2, 3);
    put_text(folder, "notes/a/1.mat", "x");
    snprintf(remark, sizeof remark, "the set is what lies in %s/objects\n", folder);
    expect_numbers(folder, CN_SUBSET_ALL, "0 1 2 3 ", remark);
    put_class(folder, "notes/a", 4, 4); /* now these are classes, as any two folders are */
    cn_dataset *data = load(folder, CN_SUBSET_ALL);
    assert_string_equal(cn_dataset_class_name(data, 0), "notes");
    assert_int_equal(cn_dataset_size(data), 5);
    cn_dataset_free(data);
    remove_tree(folder);
    files_make_folder(folder);
    put_class(folder, ".", 1, 2);
    expect_failure(folder, CN_SUBSET_ALL, "found images: ");
    remove_tree(folder);
}

static void very_different_classes_are_said(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_class(folder, "train/a", 0, 19);
    put_class(folder, "train/b", 20, 21);
    put_class(folder, "train/c", 30, 37);
    put_class(folder, "test/a", 40, 59);
    put_class(folder, "test/b", 60, 60);
    cn_dataset *data = load(folder, CN_SUBSET_TRAIN);
    assert_string_equal(cn_dataset_remarks(data), ""); /* 10 : 1 */
    cn_dataset_free(data);
    put_class(folder, "train/a", 100, 100);
    data = load(folder, CN_SUBSET_TRAIN);
    assert_string_equal(cn_dataset_remarks(data),
                        "classes of very different sizes: 2 images of b, 21 of a; class weights "
                        "can make up for it\n");
    cn_dataset_free(data);
    data = load(folder, CN_SUBSET_TEST); /* what is measured on may be as it is */
    assert_string_equal(cn_dataset_remarks(data), "");
    cn_dataset_free(data);
    remove_tree(folder);
}

/* An image of 100 x 100 of one value, but for one pixel. */
static void put_large(const char *folder, const char *name, size_t at, uint8_t value)
{
    static uint8_t bytes[15 + 10000];
    memcpy(bytes, "P5 100 100 255\n", 15);
    memset(bytes + 15, 7, 10000);
    bytes[15 + at] = value;
    put(folder, name, bytes, sizeof bytes);
}

static void files_in_both_parts_are_said(void **state)
{
    (void)state;
    char folder[FILES_PATH], text[2 * FILES_PATH + 128];
    files_make_folder(folder);
    put_class(folder, "train/a", 0, 9);
    put_class(folder, "test/a", 10, 19);
    put_large(folder, "train/b/1.pgm", 0, 1); /* alike in the middle and at the end */
    put_large(folder, "train/b/2.pgm", 9999, 1);
    put_large(folder, "test/b/3.pgm", 0, 2);
    put_large(folder, "test/b/4.pgm", 5000, 1);
    put_class(folder, "train/b", 20, 29);
    cn_dataset *data = load(folder, CN_SUBSET_TRAIN);
    assert_string_equal(cn_dataset_remarks(data), "");
    assert_int_equal(cn_dataset_shared(data), 0);
    cn_dataset_free(data);
    put_large(folder, "test/b/5.pgm", 9999, 1);
    put_large(folder, "train/b/5.pgm", 9999, 1); /* the second of its bytes to train on */
    data = load(folder, CN_SUBSET_TRAIN);
    snprintf(text, sizeof text,
             "1 image to test or validate on has the bytes of one to train on: %s/test/b/5.pgm is "
             "%s/train/b/2.pgm\n",
             folder, folder);
    assert_string_equal(cn_dataset_remarks(data), text);
    cn_dataset_free(data);
    put_class(folder, "val/a", 3, 4);
    data = load(folder, CN_SUBSET_TRAIN);
    snprintf(text, sizeof text,
             "3 images to test or validate on have the bytes of one to train on: the first, "
             "%s/test/b/5.pgm is %s/train/b/2.pgm\n",
             folder, folder);
    assert_string_equal(cn_dataset_remarks(data), text);
    assert_int_equal(cn_dataset_shared(data), 3);
    cn_dataset_free(data);
    remove_tree(folder);
}

/* Where there are no parts every fifth image is for testing; it may be a copy, too. */
static void copies_on_both_sides_of_a_drawn_split_are_said(void **state)
{
    (void)state;
    char folder[FILES_PATH], text[2 * FILES_PATH + 128];
    files_make_folder(folder);
    put_class(folder, "a", 0, 3);
    put_gray(folder, "a/004.pgm", 2, 2, 1);
    cn_dataset *data = load(folder, CN_SUBSET_TRAIN);
    snprintf(text, sizeof text,
             "1 image to test or validate on has the bytes of one to train on: %s/a/004.pgm is "
             "%s/a/001.pgm\n",
             folder, folder);
    assert_non_null(strstr(cn_dataset_remarks(data), text));
    cn_dataset_free(data);
    remove_tree(folder);
}

static void many_endings_count_as_others(void **state)
{
    (void)state;
    cn_passed passed = {.kind_count = 0};
    char name[16], text[CN_PASSED_TEXT];
    assert_string_equal(cn_passed_text(&passed, text), "");
    for (int i = 0; i < CN_ENDINGS + 2; i++) {
        snprintf(name, sizeof name, "x.%c", 'a' + i);
        cn_passed_add(&passed, name);
    }
    cn_passed_add(&passed, "x.b");
    cn_passed_add(&passed, "x.an-ending-of-some-length");
    cn_passed_text(&passed, text);
    assert_memory_equal(text, "2 .b, 1 .a, 1 .c, ", 18);
    assert_non_null(strstr(text, "1 .p, 3 others"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_in_three_parts),
        cmocka_unit_test(the_validation_part_stands_in_for_a_missing_test_part),
        cmocka_unit_test(without_parts_every_fifth_is_for_testing),
        cmocka_unit_test(fewer_than_five_images_are_all_learnt_and_tested),
        cmocka_unit_test(a_class_may_be_called_train),
        cmocka_unit_test(folders_lie_as_archives_leave_them),
        cmocka_unit_test(folders_of_classes_may_lie_deeper),
        cmocka_unit_test(a_part_must_be_there_once),
        cmocka_unit_test(a_test_part_alone_is_enough_to_test_on),
        cmocka_unit_test(tables_come_in_three_parts),
        cmocka_unit_test(digits_have_two_parts),
        cmocka_unit_test(names_say_what_part_they_are),
        cmocka_unit_test(files_of_other_kinds_are_counted),
        cmocka_unit_test(what_lies_beside_the_parts_is_said),
        cmocka_unit_test(a_part_without_classes_is_passed_over),
        cmocka_unit_test(what_is_there_twice_counts_once),
        cmocka_unit_test(a_file_beside_a_single_class_may_have_the_labels),
        cmocka_unit_test(a_folder_beside_others_without_images_is_the_set),
        cmocka_unit_test(very_different_classes_are_said),
        cmocka_unit_test(files_in_both_parts_are_said),
        cmocka_unit_test(copies_on_both_sides_of_a_drawn_split_are_said),
        cmocka_unit_test(many_endings_count_as_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
