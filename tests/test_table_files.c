/* Where tables lie, and where the images lie that they name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convnet.h"
#include "trees.h"

/* A file: an image of one pixel of this value, or a text. */
typedef struct file {
    const char *name, *text;
    int value;
} file;

static void put_files(char folder[FILES_PATH], const file *files)
{
    files_make_folder(folder);
    for (; files->name; files++) {
        if (files->text)
            put_text(folder, files->name, files->text);
        else
            put_gray(folder, files->name, 1, 1, files->value);
    }
}

/* Loads folder/path, whose part has these images, "10 cat, 20 dog", and says this, or nothing (NULL). */
static void expect(const char *folder, const char *path, cn_subset subset, const char *images,
                   const char *remark)
{
    char spec[FILES_PATH * 2], text[256] = "";
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    snprintf(spec, sizeof spec, "%s%s", folder, path);
    if (cn_dataset_load(&data, spec, subset, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    for (int i = 0; i < cn_dataset_size(data); i++) {
        size_t used = strlen(text);
        const uint8_t *pixels = cn_dataset_images(data)->data;
        snprintf(text + used, sizeof text - used, "%s%d %s", i ? ", " : "", pixels[i],
                 cn_dataset_class_name(data, cn_dataset_label(data, i)));
    }
    assert_string_equal(text, images);
    const char *said = cn_dataset_remarks(data);
    if (remark ? !strstr(said, remark) : *said != 0) fail_msg("it says: %s", said);
    cn_dataset_free(data);
}

static void expect_failure(const char *folder, const char *path, const char *part)
{
    char spec[FILES_PATH * 2];
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    snprintf(spec, sizeof spec, "%s%s", folder, path);
    assert_int_not_equal(cn_dataset_load(&data, spec, CN_SUBSET_ALL, NULL, &err), CN_OK);
    assert_null(data);
    if (!strstr(err.text, part)) fail_msg("\"%s\" is not in: %s", part, err.text);
}

/* Competitions have images in a folder beside the table, whose name is none of the usual ones. */
static void images_lie_in_a_folder_beside_the_table(void **state)
{
    static const char table[] = "id,label\n7,cat\n8,dog\n";
    const struct {
        file files[6];
        const char *where;
    } cases[] = {
        {{{"train.csv", table, 0}, {"train_images/7.pgm", 0, 10}, {"train_images/8.pgm", 0, 20}},
         "lie in folders beside it: "},
        /* The same name in the folder of another part is another image. */
        {{{"train.csv", table, 0},
          {"train-jpg/7.pgm", 0, 10},
          {"train-jpg/8.pgm", 0, 20},
          {"test-jpg/7.pgm", 0, 30}},
         "/train-jpg\n"},
        /* As archives leave it. */
        {{{"train_v2.csv", table, 0},
          {"photos/photos/7.pgm", 0, 10},
          {"photos/photos/8.pgm", 0, 20},
          {"test/7.pgm", 0, 30},
          {"test_v2_names.csv", "id,old\n1,2\n", 0}},
         "/photos/photos\n"},
        /* Without a heading the first line is none. */
        {{{"labels.csv", "7,cat\n8,dog\n", 0}, {"all/7.pgm", 0, 10}, {"all/8.pgm", 0, 20}},
         "/all\n"},
        /* A folder of the table's part is before others. */
        {{{"train.csv", table, 0},
          {"train set/7.pgm", 0, 10},
          {"train set/8.pgm", 0, 20},
          {"small/7.pgm", 0, 30}},
         "/train set\n"},
        {{{"train.csv", table, 0},
          {"a train set/7.pgm", 0, 10},
          {"a train set/8.pgm", 0, 20},
          {"0/7.pgm", 0, 30}},
         "/a train set\n"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char folder[FILES_PATH];
        put_files(folder, cases[i].files);
        expect(folder, "", CN_SUBSET_ALL, "10 cat, 20 dog", cases[i].where);
        remove_tree(folder);
    }
}

/* Archives in parts: each image is in one of the folders. */
static void images_lie_in_several_folders(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    put_files(folder,
              (const file[]){{"scans_metadata.csv", "image_id,age,dx\n1,40,a\n2,50,b\n3,60,a\n", 0},
                             {"part_1/1.pgm", 0, 10},
                             {"part_2/images/2.pgm", 0, 20},
                             {"part_1/3.pgm", 0, 30},
                             {0}});
    expect(folder, "", CN_SUBSET_ALL, "10 a, 20 b, 30 a", "lie in folders beside it: ");
    put_gray(folder, "part_3/2.pgm", 1, 1, 40);
    expect_failure(folder, "", "scans_metadata.csv: line 3: no image 2");
    remove_tree(folder);
}

/* Of two that have it nobody knows which. */
static void of_two_folders_none_is_chosen(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    put_files(folder, (const file[]){{"train.csv", "id,label\n7,cat\n8,dog\n", 0},
                                     {"large/7.pgm", 0, 10},
                                     {"small/7.pgm", 0, 20},
                                     {0}});
    expect_failure(folder, "", "train.csv: line 2: no image 7");
    remove_tree(folder);
}

static void a_folder_has_its_table(void **state)
{
    static const char one_hot[] = "to be learned: the columns a, b\n";
    (void)state;
    char folder[FILES_PATH];
    put_files(
        folder,
        (const file[]){{"metadata.csv", "file_name,label\n1.pgm,cat\n", 0}, {"1.pgm", 0, 10}, {0}});
    expect(folder, "", CN_SUBSET_ALL, "10 cat", NULL);
    remove_tree(folder);
    put_files(folder, (const file[]){{"train/metadata.csv", "file_name,label\n1.pgm,cat\n", 0},
                                     {"train/1.pgm", 0, 10},
                                     {"test/metadata.csv", "file_name,label\n1.pgm,cat\n", 0},
                                     {"test/1.pgm", 0, 20},
                                     {"validation/metadata.csv", "file_name,label\n1.pgm,dog\n", 0},
                                     {"validation/1.pgm", 0, 30},
                                     {0}});
    expect(folder, "", CN_SUBSET_TRAIN, "10 cat", NULL);
    expect(folder, "", CN_SUBSET_TEST, "20 cat", NULL);
    expect(folder, "", CN_SUBSET_VALIDATION, "30 dog", NULL);
    remove_tree(folder);
    put_files(folder, (const file[]){{"train/_classes.csv", "filename, a, b\n1.pgm, 1, 0\n", 0},
                                     {"train/1.pgm", 0, 10},
                                     {"valid/_classes.csv", "filename, a, b\n1.pgm, 0, 1\n", 0},
                                     {"valid/1.pgm", 0, 20},
                                     {0}});
    expect(folder, "", CN_SUBSET_TRAIN, "10 a", one_hot);
    expect(folder, "", CN_SUBSET_VALIDATION, "20 b", one_hot);
    put_text(folder, "train/_classes.csv", "Pixel Value, Class\n0, a\n");
    expect_failure(folder, "", "for each class");
    remove_tree(folder);
    /* Tables of other things beside classes, and two of the same, are not the set's. */
    put_files(folder, (const file[]){{"train_log.csv", "epoch,loss\n1,2\n", 0},
                                     {"train_a.csv", "image,label\nb/1,a\n", 0},
                                     {"train_b.csv", "image,label\nb/1,a\n", 0},
                                     {"a/1.pgm", 0, 10},
                                     {"b/1.pgm", 0, 20},
                                     {0}});
    expect(folder, "", CN_SUBSET_ALL, "10 a, 20 b", NULL);
    remove_tree(folder);
}

/* A table of all images is none where folders say the parts; one whose images are not there is none at all. */
static void a_table_beside_parts_is_no_set(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    put_files(folder, (const file[]){{"all.csv", "file,label\n1.pgm,x\n2.pgm,y\n", 0},
                                     {"train/a/1.pgm", 0, 10},
                                     {"test/a/2.pgm", 0, 20},
                                     {0}});
    expect(folder, "", CN_SUBSET_TRAIN, "10 a", "a single class, a: all.csv may have the labels");
    remove_tree(folder);
    put_files(folder, (const file[]){{"history.csv", "name,value\n1,x\n2,y\n", 0},
                                     {"a/10.pgm", 0, 10},
                                     {"b/20.pgm", 0, 20},
                                     {0}});
    expect(folder, "", CN_SUBSET_ALL, "10 a, 20 b", NULL);
    remove_tree(folder);
}

/* A test set without labels is passed over, whatever its only column is called. */
static void a_part_may_have_no_labels(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    put_files(folder, (const file[]){{"train.csv", "id_code,diagnosis\n1,0\n2,1\n", 0},
                                     {"test.csv", "code\n3\n", 0},
                                     {"train_images/1.pgm", 0, 10},
                                     {"train_images/2.pgm", 0, 20},
                                     {"test_images/3.pgm", 0, 30},
                                     {0}});
    expect(folder, "", CN_SUBSET_ALL, "10 0, 20 1", "test.csv, which has no labels\n");
    remove_tree(folder);
}

/* Lists of a path and a class, where blanks may be part of a path. */
static void lists_have_blanks(void **state)
{
    static const char *const lists[] = {"a b/1.pgm cat\n2.pgm dog\n",
                                        "a b/1.pgm   cat \r\n\r\n2.pgm dog",
                                        "path label\na b/1.pgm cat\n2.pgm dog\n"};
    (void)state;
    char folder[FILES_PATH];
    put_files(folder, (const file[]){{"a b/1.pgm", 0, 10}, {"2.pgm", 0, 20}, {0}});
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        put_text(folder, "train.txt", lists[i]);
        expect(folder, "/train.txt", CN_SUBSET_ALL, "10 cat, 20 dog", NULL);
    }
    put_text(folder, "train.txt", "a b/1.pgm cat\n2.pgm\n");
    expect_failure(folder, "/train.txt", "train.txt: line 2: expected path,label, found 1 field");
    put_text(folder, "train.txt", "2.pgm\n2.pgm\n");
    expect_failure(folder, "/train.txt", "train.txt: line 1: expected path,label");
    remove_tree(folder);
}

/* A path that begins with a slash may be one below root=. */
static void paths_begin_at_the_root(void **state)
{
    (void)state;
    char folder[FILES_PATH], path[FILES_PATH * 2];
    put_files(folder, (const file[]){{"list.txt", "/a/1.pgm cat\n/b/1.pgm dog\n", 0},
                                     {"all/a/1.pgm", 0, 10},
                                     {"all/b/1.pgm", 0, 20},
                                     {"all/1.pgm", 0, 30},
                                     {0}});
    snprintf(path, sizeof path, "/list.txt,root=%s/all", folder);
    expect(folder, path, CN_SUBSET_ALL, "10 cat, 20 dog", NULL);
    remove_tree(folder);
}

/* Tags in one field may be several; the text is taken whole, and this is said. */
static void tags_are_taken_whole(void **state)
{
    static const char said[] = "labels are taken whole, as \"clear primary\"; task=multi-label";
    (void)state;
    char folder[FILES_PATH];
    put_files(folder, (const file[]){{"train.csv", "image,tags\n1,haze\n2,clear primary\n", 0},
                                     {"1.pgm", 0, 10},
                                     {"2.pgm", 0, 20},
                                     {0}});
    expect(folder, "", CN_SUBSET_ALL, "10 haze, 20 clear primary", said);
    expect(folder, ",task=classification", CN_SUBSET_ALL, "10 haze, 20 clear primary", NULL);
    put_text(folder, "train.csv", "image,target\n1,3\n2,16 0\n");
    expect(folder, "", CN_SUBSET_ALL, "10 3, 20 16 0", "labels are taken whole, as \"16 0\"");
    put_text(folder, "train.csv", "image,target\n1,hot dog\n2,pizza\n");
    expect(folder, "", CN_SUBSET_ALL, "10 hot dog, 20 pizza", NULL);
    remove_tree(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_lie_in_a_folder_beside_the_table),
        cmocka_unit_test(images_lie_in_several_folders),
        cmocka_unit_test(of_two_folders_none_is_chosen),
        cmocka_unit_test(a_folder_has_its_table),
        cmocka_unit_test(a_table_beside_parts_is_no_set),
        cmocka_unit_test(a_part_may_have_no_labels),
        cmocka_unit_test(lists_have_blanks),
        cmocka_unit_test(paths_begin_at_the_root),
        cmocka_unit_test(tags_are_taken_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
