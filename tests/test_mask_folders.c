/* Folders of images and masks as the data sets of the field have them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "convnet.h"
#include "trees.h"

static cn_status load(cn_dataset **data, const char *kind, const char *folder, cn_subset subset,
                      cn_error *err)
{
    char spec[FILES_PATH + 16];
    snprintf(spec, sizeof spec, "%s%s", kind, folder);
    return cn_dataset_load(data, spec, subset, NULL, err);
}

static void expect_failure(const char *folder, const char *part)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    assert_int_not_equal(load(&data, "", folder, CN_SUBSET_TRAIN, &err), CN_OK);
    assert_null(data);
    assert_says(err, part);
}

/* Masks, each of the class i in both pixels, of the images of a part. */
static void expect_masks(const char *kind, const char *folder, cn_subset subset, int count,
                         const uint8_t *classes, const char *remark)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    if (load(&data, kind, folder, subset, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(cn_dataset_task(data), CN_TASK_SEGMENTATION);
    assert_int_equal(cn_dataset_size(data), count);
    for (int i = 0; i < count; i++) {
        const uint8_t *mask = (const uint8_t *)cn_dataset_masks(data)->data + 2 * (size_t)i;
        assert_int_equal(mask[0], classes[i]);
        assert_int_equal(mask[1], classes[i]);
    }
    if (!strstr(cn_dataset_remarks(data), remark)) fail_msg("%s", cn_dataset_remarks(data));
    cn_dataset_free(data);
}

static void put_pair(const char *folder, const char *image, const char *mask, int class_index)
{
    put_gray(folder, image, 1, 2, 100);
    put_gray(folder, mask, 1, 2, class_index);
}

static void masks_lie_where_data_sets_have_them(void **state)
{
    static const char *const forms[][4] = {
        {"train/a.pgm", "train_masks/a_mask.pgm", "train/b.pgm", "train_masks/b_mask.pgm"},
        {"train/a.pgm", "trainannot/a.pgm", "train/b.pgm", "trainannot/b.pgm"},
        {"img_dir/train/a.pgm", "ann_dir/train/a.pgm", "img_dir/train/b.pgm",
         "ann_dir/train/b.pgm"},
        {"leftImg8bit/train/x/a_leftImg8bit.pgm", "gtFine/train/x/a_gtFine_labelIds.pgm",
         "leftImg8bit/train/x/b_leftImg8bit.pgm", "gtFine/train/x/b_gtFine_labelIds.pgm"},
        {"images/a.pgm", "annotations/trimaps/a.pgm", "images/b.pgm", "annotations/trimaps/b.pgm"},
        {"images/a.pgm", "gt/a.pgm.pgm", "images/b.pgm", "gt/b_L.pgm"},
        {"train_images/a.pgm", "train_masks/a.pgm", "train_images/b.pgm", "train_masks/b.pgm"},
        {"TrainImages/a.pgm", "TrainGT/a_GT.pgm", "TrainImages/b.pgm", "TrainGT/b_GT.pgm"},
        {"Original/a.pgm", "Ground Truth/a.pgm", "Original/b.pgm", "Ground Truth/b.pgm"},
        {"train/rgb_img/a.pgm", "train/img_label/a.pgm", "train/rgb_img/b.pgm",
         "train/img_label/b.pgm"},
    };
    char folder[FILES_PATH];
    (void)state;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        files_make_folder(folder);
        put_pair(folder, forms[i][0], forms[i][1], 0);
        put_pair(folder, forms[i][2], forms[i][3], 1);
        if (i == 4) put_text(folder, "annotations/xmls/a.xml", "<a/>");
        expect_masks("", folder, CN_SUBSET_TRAIN, 2, (uint8_t[]){0, 1}, "");
        remove_tree(folder);
    }
}

/* Names that share a word for the part, and no more. */
static void words_in_names_tell_images_and_masks(void **state)
{
    static const char *const parts[3] = {"Training", "Test", "Validation"};
    char folder[FILES_PATH], image[96], mask[96];
    (void)state;
    files_make_folder(folder);
    for (int i = 0; i < 3; i++) {
        snprintf(image, sizeof image, "ISIC2018_Task1-2_%s_Input/ISIC_%d.pgm", parts[i], i);
        snprintf(mask, sizeof mask, "ISIC2018_Task1_%s_GroundTruth/ISIC_%d_segmentation.pgm",
                 parts[i], i);
        put_pair(folder, image, mask, i);
    }
    put_text(folder, "ISIC2018_Task1-2_Test_Input/LICENSE.txt", "free");
    put_gray(folder, "ISIC2018_Task1-2_Training_Input/ISIC_0_superpixels.pgm", 1, 2, 9);
    const char *remark = "passed over 1 image without a mask, the first is ISIC_0_superpixels.pgm\n"
                         "passed over 1 .txt";
    expect_masks("", folder, CN_SUBSET_TRAIN, 1, (uint8_t[]){0}, remark);
    expect_masks("", folder, CN_SUBSET_TEST, 1, (uint8_t[]){1}, remark);
    expect_masks("", folder, CN_SUBSET_VALIDATION, 1, (uint8_t[]){2}, remark);
    remove_tree(folder);
}

/* Folders of classes stay what they are: there are words for masks alone, or within others. */
static void words_of_classes_are_no_masks(void **state)
{
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    char folder[FILES_PATH];
    (void)state;
    files_make_folder(folder);
    put_gray(folder, "with_mask/a.pgm", 1, 2, 1);
    put_gray(folder, "without_mask/b.pgm", 1, 2, 1);
    put_gray(folder, "database/c.pgm", 1, 2, 1);
    if (load(&data, "", folder, CN_SUBSET_ALL, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(cn_dataset_task(data), CN_TASK_CLASSIFICATION);
    assert_int_equal(cn_dataset_classes(data), 3);
    cn_dataset_free(data);
    remove_tree(folder);
}

/* PASCAL VOC: lists of the parts, and boxes in Annotations that are no masks. */
static void lists_tell_the_parts(void **state)
{
    char folder[FILES_PATH];
    (void)state;
    files_make_folder(folder);
    put_pair(folder, "JPEGImages/2007_1.pgm", "SegmentationClass/2007_1.pgm", 0);
    put_pair(folder, "JPEGImages/2007_2.pgm", "SegmentationClass/2007_2.pgm", 1);
    put_pair(folder, "JPEGImages/2007_3.pgm", "SegmentationClass/2007_3.pgm", 2);
    put_gray(folder, "JPEGImages/2007_4.pgm", 1, 2, 0);
    put_text(folder, "Annotations/2007_1.xml", "<a/>");
    put_text(folder, "ImageSets/Segmentation/train.txt", "2007_3\r\n2007_1\r\n");
    put_text(folder, "ImageSets/Segmentation/val.txt", "2007_2");
    const char *remark = "passed over 1 image in no list of ImageSets/Segmentation";
    expect_masks("", folder, CN_SUBSET_TRAIN, 2, (uint8_t[]){0, 2}, remark);
    expect_masks("", folder, CN_SUBSET_VALIDATION, 1, (uint8_t[]){1}, remark);
    remove_tree(folder);
}

/* A mask beside its image is no example of a class. */
static void masks_may_lie_beside_their_images(void **state)
{
    char folder[FILES_PATH];
    (void)state;
    files_make_folder(folder);
    put_pair(folder, "benign/a (1).pgm", "benign/a (1)_mask.pgm", 1);
    put_pair(folder, "normal/b.pgm", "normal/b_mask.pgm", 0);
    put_gray(folder, "normal/c.pgm", 1, 2, 3);
    expect_failure(folder, "a (1)_mask.pgm is the mask of a (1).pgm: masks:DIR reads these");
    expect_masks("masks:", folder, CN_SUBSET_ALL, 2, (uint8_t[]){1, 0},
                 "passed over 1 image without a mask, the first is normal/c.pgm");
    remove_tree(folder);
}

/* Which of two folders of masks is meant nobody can know: the other one is said. */
static void other_folders_of_images_are_said(void **state)
{
    char folder[FILES_PATH], remark[FILES_PATH * 2 + 64];
    (void)state;
    files_make_folder(folder);
    put_pair(folder, "training/images/1_training.pgm", "training/mask/1_training_mask.pgm", 1);
    put_pair(folder, "training/images/2_training.pgm", "training/mask/2_training_mask.pgm", 0);
    put_gray(folder, "training/1st_manual/1_manual1.pgm", 1, 2, 0);
    put_text(folder, "training/notes/1.txt", "x");
    snprintf(remark, sizeof remark, "masks are in %s/training/mask; passed over %s/training/%s\n",
             folder, folder, "1st_manual");
    expect_masks("", folder, CN_SUBSET_ALL, 2, (uint8_t[]){1, 0}, remark);
    remove_tree(folder);
}

static void folders_per_image_are_no_classes(void **state)
{
    char folder[FILES_PATH];
    (void)state;
    files_make_folder(folder);
    put_pair(folder, "0a1b/images/0a1b.pgm", "0a1b/masks/first.pgm", 1);
    put_gray(folder, "0a1b/masks/second.pgm", 1, 2, 1);
    put_pair(folder, "2c3d/images/2c3d.pgm", "2c3d/masks/first.pgm", 1);
    expect_failure(folder, "0a1b: expected the images of a class, found images and masks");
    remove_tree(folder);
    files_make_folder(folder);
    put_pair(folder, "urban/images_png/1.pgm", "urban/masks_png/1.pgm", 1);
    put_pair(folder, "rural/images_png/2.pgm", "rural/masks_png/2.pgm", 1);
    expect_failure(folder, "rural: expected the images of a class, found images and masks");
    remove_tree(folder);
}

/* As for the detection of objects: boxes in texts. */
static void boxes_are_no_masks(void **state)
{
    char folder[FILES_PATH];
    (void)state;
    files_make_folder(folder);
    put_gray(folder, "images/a.pgm", 1, 2, 3);
    put_text(folder, "labels/a.txt", "0 .5 .5 .1 .1\n");
    expect_failure(folder, "with masks of the same names, found 1 without, and 1 .txt");
    remove_tree(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(masks_lie_where_data_sets_have_them),
        cmocka_unit_test(words_in_names_tell_images_and_masks),
        cmocka_unit_test(words_of_classes_are_no_masks),
        cmocka_unit_test(lists_tell_the_parts),
        cmocka_unit_test(masks_may_lie_beside_their_images),
        cmocka_unit_test(other_folders_of_images_are_said),
        cmocka_unit_test(folders_per_image_are_no_classes),
        cmocka_unit_test(boxes_are_no_masks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
