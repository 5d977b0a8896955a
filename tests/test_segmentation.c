/* Segmentation: sets of images and masks, their augmentation, losses, metrics and masks as files. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "augment/augment.h"
#include "convnet.h"
#include "data/dataset.h"
#include "shapes.h"
#include "train/train.h"
#include "trees.h"

/* A gray mask as PGM: rows x columns of the text's characters less '0', of which 'X' is 255. */
static void put_mask(const char *folder, const char *name, int rows, int columns, const char *text)
{
    uint8_t bytes[256];
    size_t head = (size_t)snprintf((char *)bytes, 32, "P5 %d %d 255\n", columns, rows);
    for (int i = 0; i < rows * columns; i++)
        bytes[head++] = (uint8_t)(text[i] == 'X' ? 255 : text[i] - '0');
    put(folder, name, bytes, head);
}

static cn_dataset *expect_set(const char *folder, const char *options, cn_subset subset)
{
    char spec[FILES_PATH + 64];
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    snprintf(spec, sizeof spec, "%s%s", folder, options);
    if (cn_dataset_load(&data, spec, subset, NULL, &err) != CN_OK) fail_msg("%s", err.text);
    return data;
}

static void expect_failure(const char *folder, const char *options, const char *part)
{
    char spec[FILES_PATH + 64];
    cn_dataset *data = NULL;
    cn_error err = {CN_OK, ""};
    snprintf(spec, sizeof spec, "%s%s", folder, options);
    assert_int_not_equal(cn_dataset_load(&data, spec, CN_SUBSET_TRAIN, NULL, &err), CN_OK);
    assert_null(data);
    assert_says(err, part);
}

/* The masks' pixels of all images, as text: '.' has no class. */
static void expect_masks(const cn_dataset *data, const char *text)
{
    const cn_tensor *masks = cn_dataset_masks(data);
    assert_non_null(masks);
    assert_int_equal(cn_tensor_count(masks), strlen(text));
    for (size_t i = 0; text[i]; i++) {
        int value = ((const uint8_t *)masks->data)[i];
        assert_int_equal(value == CN_MASK_IGNORED ? '.' : '0' + value, text[i]);
    }
}

/* ---- Folders */

static void images_find_their_masks(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_gray(folder, "images/a.pgm", 2, 2, 10);
    put_gray(folder, "images/deep/b c.ppm.pgm", 2, 2, 20);
    put_gray(folder, "images/alone.pgm", 2, 2, 30);
    put_mask(folder, "masks/a.pgm", 2, 2, "0120");
    put_mask(folder, "masks/deep/b c.ppm_mask.pgm", 2, 2, "111X");
    cn_dataset *data = expect_set(folder, "", CN_SUBSET_TRAIN);
    assert_int_equal(cn_dataset_task(data), CN_TASK_SEGMENTATION);
    assert_int_equal(cn_dataset_size(data), 2);
    assert_int_equal(cn_dataset_classes(data), 3);
    assert_string_equal(cn_dataset_layout(data), "masks");
    expect_masks(data, "0120111.");
    assert_non_null(strstr(cn_dataset_remarks(data), "passed over 1 image without a mask"));
    assert_non_null(strstr(cn_dataset_remarks(data), "alone.pgm"));
    assert_non_null(strstr(cn_dataset_remarks(data), "pixels of 255"));
    cn_dataset_free(data);

    data = expect_set(folder, ",ignore=2", CN_SUBSET_TRAIN);
    assert_int_equal(cn_dataset_classes(data), 3);
    assert_string_equal(cn_dataset_class_name(data, 2), "255");
    expect_masks(data, "01.01112");
    cn_dataset_free(data);
    remove_tree(folder);
}

static void parts_lie_above_or_below(void **state)
{
    static const char *const forms[][2] = {{"%s/Images", "%s/Masks"}, {"img/%s", "labels/%s"}};
    static const char *const parts[] = {"train", "test", "val"};
    (void)state;
    for (int form = 0; form < 2; form++) {
        char folder[FILES_PATH], name[64], path[96];
        files_make_folder(folder);
        for (int part = 0; part < 3; part++)
            for (int i = 0; i <= part; i++)
                for (int k = 0; k < 2; k++) {
                    snprintf(name, sizeof name, forms[form][k], parts[part]);
                    snprintf(path, sizeof path, "%s/%d.pgm", name, i);
                    if (k)
                        put_mask(folder, path, 1, 2, "0X");
                    else
                        put_gray(folder, path, 1, 2, 50);
                }
        for (int part = 0; part < 3; part++) {
            cn_dataset *data = expect_set(folder, "", (cn_subset)part);
            assert_int_equal(cn_dataset_size(data), part + 1);
            assert_int_equal(cn_dataset_classes(data), 2);
            cn_dataset_free(data);
        }
        remove_tree(folder);
    }
}

static void values_become_classes(void **state)
{
    static const struct {
        const char *mask, *options, *classes, *names;
        int count;
    } cases[] = {
        {"0XX0", "", "0110", "0 1", 2},   {"0XX0", ",ignore=none", "0110", "0 1", 2},
        {"01X0", "", "01.0", "0 1", 2},   {"01X0", ",ignore=none", "0120", "0 1 255", 3},
        {"0370", "", "0120", "0 3 7", 3}, {"1221", "", "0110", "1 2", 2},
        {"0000", "", "0000", "0", 1},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        char folder[FILES_PATH], names[64] = "";
        files_make_folder(folder);
        put_gray(folder, "images/a.pgm", 2, 2, 10);
        put_mask(folder, "masks/a.pgm", 2, 2, cases[k].mask);
        cn_dataset *data = expect_set(folder, cases[k].options, CN_SUBSET_TRAIN);
        assert_int_equal(cn_dataset_classes(data), cases[k].count);
        expect_masks(data, cases[k].classes);
        for (int i = 0; i < cn_dataset_classes(data); i++) {
            if (i) strcat(names, " ");
            strcat(names, cn_dataset_class_name(data, i));
        }
        assert_string_equal(names, cases[k].names);
        cn_dataset_free(data);
        remove_tree(folder);
    }
}

static void classes_have_names(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_gray(folder, "images/a.pgm", 1, 3, 10);
    put_mask(folder, "masks/a.pgm", 1, 3, "02X");
    put_text(folder, "classes.txt", "road\ncar\r\nsky, blue\n\n");
    cn_dataset *data = expect_set(folder, "", CN_SUBSET_TRAIN);
    assert_int_equal(cn_dataset_classes(data), 3);
    assert_string_equal(cn_dataset_class_name(data, 2), "sky, blue");
    expect_masks(data, "02.");
    cn_dataset_free(data);
    put_text(folder, "classes.txt", "road\ncar\n");
    expect_failure(folder, "", "a mask has a pixel of 2, but there are names for 2 classes");
    remove_tree(folder);
}

/* The mask is taken from the same part as the image, by the nearest pixel. */
static void masks_are_resized_as_images_are(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_mask(folder, "images/a.pgm", 2, 4, "00110011");
    put_mask(folder, "masks/a.pgm", 2, 4, "00110011");
    cn_dataset *data = expect_set(folder, ",size=1x2", CN_SUBSET_TRAIN);
    expect_masks(data, "01");
    cn_dataset_free(data);
    data = expect_set(folder, ",size=4x4,fit=crop", CN_SUBSET_TRAIN);
    expect_masks(data, "0011001100110011");
    cn_dataset_free(data);
    data = expect_set(folder, ",size=1x1,fit=crop", CN_SUBSET_TRAIN);
    expect_masks(data, "1");
    cn_dataset_free(data);
    remove_tree(folder);
}

/* A mask of 2 x 2 with an alpha channel. */
static void put_alpha(const char *folder, const char *name, const char *kind, int channels,
                      const char *bytes)
{
    char text[160];
    snprintf(text, sizeof text,
             "P7\nWIDTH 2\nHEIGHT 2\nDEPTH %d\nMAXVAL 255\nTUPLTYPE %s\nENDHDR\n%s", channels, kind,
             bytes);
    put_text(folder, name, text);
}

static void what_does_not_fit_is_said(void **state)
{
    (void)state;
    char folder[FILES_PATH];
    files_make_folder(folder);
    put_gray(folder, "images/a.pgm", 2, 2, 10);
    put_mask(folder, "masks/b.pgm", 2, 2, "0120");
    expect_failure(folder, "", "expected images with masks of the same names, found 1 without");
    put_mask(folder, "masks/a.pgm", 2, 3, "012001");
    expect_failure(folder, "", "a mask of 2 x 3 for an image of 2 x 2");
    put_text(folder, "masks/a.pgm", "P6 2 2 255\n123456789012");
    expect_failure(folder, "", "a mask in color");
    put_alpha(folder, "masks/a.pgm", "RGB_ALPHA", 4, "rgb0rgb1rgb0rgb0");
    expect_failure(folder, "", "a mask of one color, whose alpha channel alone differs");
    put_alpha(folder, "masks/a.pgm", "GRAYSCALE_ALPHA", 2, "g0g1g0g0");
    expect_failure(folder, "", "a mask of one color, whose alpha channel alone differs");
    put_alpha(folder, "masks/a.pgm", "GRAYSCALE_ALPHA", 2, "\1a\2b\1a\2b");
    cn_dataset *data = expect_set(folder, "", CN_SUBSET_TRAIN);
    expect_masks(data, "0101");
    cn_dataset_free(data);
    put_text(folder, "masks/a.pgm", "P2 2 2 999 0 1 2 900");
    expect_failure(folder, "", "a mask with a pixel of 900");
    expect_failure(folder, ",ignore=256", "ignore=0 to 255, or none");
    remove_tree(folder);
}

/* ---- Masks as files */

static void masks_are_saved_and_read(void **state)
{
    (void)state;
    static const char *const names[] = {"mask.pgm", "mask.png"};
    char folder[FILES_PATH], path[FILES_PATH];
    uint8_t values[6] = {0, 1, 2, 3, 200, 255};
    cn_tensor mask = cn_tensor_view(CN_DTYPE_U8, 2, (int[]){2, 3}, values);
    cn_error err = {CN_OK, ""};
    files_make_folder(folder);
    for (int k = 0; k < 2; k++) {
        cn_tensor read = {0};
        cn_status status = cn_mask_save(&mask, files_join(path, folder, names[k]), &err);
#ifndef CONVNET_HAVE_PNG
        if (k == 1) {
            assert_int_equal(status, CN_ERR_UNSUPPORTED);
            continue;
        }
#endif
        assert_int_equal(status, CN_OK);
        assert_int_equal(cn_mask_load(&read, path, &err), CN_OK);
        assert_int_equal(read.rank, 2);
        assert_memory_equal(read.data, values, sizeof values);
        cn_tensor_free(&read);
        if (k == 0) continue;
        /* As an image it has the colors of PASCAL VOC: black, maroon, green, olive. */
        assert_int_equal(cn_image_load(&read, path, &err), CN_OK);
        assert_int_equal(read.shape[2], 3);
        assert_memory_equal(read.data, ((uint8_t[]){0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0}),
                            12);
        cn_tensor_free(&read);
    }
    remove_tree(folder);
}

static void overlays_mix_colors(void **state)
{
    (void)state;
    uint8_t values[3] = {0, 1, 255}, pixels[3] = {100, 100, 50};
    cn_tensor mask = cn_tensor_view(CN_DTYPE_U8, 2, (int[]){1, 3}, values), over = {0};
    cn_tensor image = cn_tensor_view(CN_DTYPE_U8, 3, (int[]){1, 3, 1}, pixels);
    cn_error err = {CN_OK, ""};
    assert_int_equal(cn_mask_overlay(&image, &mask, &over, &err), CN_OK);
    assert_memory_equal(over.data, ((uint8_t[]){100, 100, 100, 114, 50, 50, 50, 50, 50}), 9);
    cn_tensor_free(&over);
    mask.shape[1] = 2;
    assert_int_equal(cn_mask_overlay(&image, &mask, &over, &err), CN_ERR_SHAPE);
    assert_says(err, "expected U8 (1, 2, n_C)");
}

/* ---- Augmentation */

/* A set whose pixels say their class, so that an image and its mask can be compared. */
static cn_dataset *make_pixels(int n, int size)
{
    cn_dataset *data = NULL;
    cn_rng rng;
    size_t count = (size_t)(n * size * size);
    uint8_t *pixels = malloc(count), *values = malloc(count);
    assert_true(pixels && values);
    cn_rng_seed(&rng, 3);
    for (size_t i = 0; i < count; i++) {
        values[i] = (uint8_t)cn_rng_randint(&rng, 0, 4);
        pixels[i] = (uint8_t)(50 + 50 * values[i]);
    }
    cn_tensor images = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){n, size, size, 1}, pixels);
    cn_tensor masks = cn_tensor_view(CN_DTYPE_U8, 3, (int[]){n, size, size}, values);
    assert_int_equal(cn_dataset_create_masks(&data, &images, &masks, 4, NULL), CN_OK);
    free(pixels);
    free(values);
    return data;
}

static void masks_are_turned_as_images_are(void **state)
{
    enum { N = 6, SIZE = 9, COUNT = N * SIZE * SIZE };
    static const cn_augment augments[] = {
        {.flip = CN_FLIP_RANDOM},
        {.crop = 4, .flip = CN_FLIP_RANDOM},
        {.crop = 4, .border = CN_BORDER_REFLECT},
        {.crop = 2, .flip = CN_FLIP_ALTERNATING, .brightness = 0},
    };
    (void)state;
    cn_dataset *data = make_pixels(N, SIZE);
    const int index[N] = {5, 0, 3, 1, 2, 4};
    float *x = malloc(COUNT * sizeof *x);
    int32_t *labels = malloc(COUNT * sizeof *labels);
    assert_true(x && labels);
    for (size_t k = 0; k < sizeof augments / sizeof *augments; k++) {
        cn_augmenter a;
        int ignored = 0;
        assert_int_equal(cn_augmenter_create(&a, data, &augments[k], 1, NULL, NULL, 4, NULL),
                         CN_OK);
        cn_augmenter_run(&a, 2, index, N, x, labels, NULL, NULL);
        for (int i = 0; i < COUNT; i++) {
            int value = (int)(x[i] * 255 + 0.5f);
            assert_int_equal(labels[i], value == 0 ? CN_LABEL_IGNORED : value / 50 - 1);
            ignored += labels[i] == CN_LABEL_IGNORED;
        }
        assert_int_equal(ignored > 0, augments[k].crop > 0 && augments[k].border == CN_BORDER_ZERO);
        cn_augmenter_free(&a);
    }
    free(x);
    free(labels);
    cn_dataset_free(data);
}

/* Warped by the nearest pixel: never a class that is not around, and most often the one whose share
 * of the interpolated image is the largest. */
static void masks_are_warped_by_the_nearest(void **state)
{
    enum { SIZE = 32, COUNT = SIZE * SIZE };
    (void)state;
    uint8_t pixels[COUNT], values[COUNT];
    cn_dataset *data = NULL;
    for (int i = 0; i < COUNT; i++) {
        values[i] = i % SIZE >= SIZE / 2;
        pixels[i] = values[i] ? 200 : 100;
    }
    cn_tensor images = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){1, SIZE, SIZE, 1}, pixels);
    cn_tensor masks = cn_tensor_view(CN_DTYPE_U8, 3, (int[]){1, SIZE, SIZE}, values);
    assert_int_equal(cn_dataset_create_masks(&data, &images, &masks, 2, NULL), CN_OK);
    cn_augment augment = {.rotate = 40, .scale = 0.2, .shift = 3, .border = CN_BORDER_REFLECT};
    cn_augmenter a;
    assert_int_equal(cn_augmenter_create(&a, data, &augment, 1, NULL, NULL, 2, NULL), CN_OK);
    float x[COUNT];
    int32_t labels[COUNT];
    for (int epoch = 1; epoch <= 5; epoch++) {
        int seen[2] = {0, 0};
        cn_augmenter_run(&a, epoch, (int[]){0}, 1, x, labels, NULL, NULL);
        for (int i = 0; i < COUNT; i++) {
            float value = x[i] * 255;
            assert_int_not_equal(labels[i], CN_LABEL_IGNORED);
            seen[labels[i]]++;
            /* The nearest pixel has at least a quarter of the weight. */
            if (value < 124) assert_int_equal(labels[i], 0);
            if (value > 176) assert_int_equal(labels[i], 1);
        }
        assert_true(seen[0] > COUNT / 4 && seen[1] > COUNT / 4);
    }
    cn_augmenter_free(&a);
    augment.border = CN_BORDER_ZERO;
    assert_int_equal(cn_augmenter_create(&a, data, &augment, 1, NULL, NULL, 2, NULL), CN_OK);
    cn_augmenter_run(&a, 1, (int[]){0}, 1, x, labels, NULL, NULL);
    for (int i = 0; i < COUNT; i++) /* what lies outside has neither a value nor a class */
        if (x[i] == 0) assert_int_equal(labels[i], CN_LABEL_IGNORED);
    cn_augmenter_free(&a);
    cn_error err = {CN_OK, ""};
    const cn_augment mixup = {.mixup = 0.5};
    assert_int_equal(cn_augmenter_create(&a, data, &mixup, 1, NULL, NULL, 2, &err),
                     CN_ERR_ARGUMENT);
    assert_says(err, "mixup is for a class per image");
    cn_dataset_free(data);
}

/* ---- Losses and metrics */

#define assert_close(a, b) assert_true(fabs((a) - (b)) <= 1e-6)

/* The loss of two pixels with the logits 0 and ln 3 of class 1, of which the second is ignored or
 * not. */
static double loss_of(cn_loss_kind kind, const int32_t labels[2])
{
    cn_model *m = NULL;
    cn_session *s = NULL;
    double loss = 0;
    float x[2] = {0, 1.0986123f};
    assert_int_equal(cn_model_parse(&m, "conv 2 1x1", (int[]){1, 2, 1}, 2, 1, NULL), CN_OK);
    cn_parameter w;
    assert_true(cn_model_parameter(m, 0, &w));
    ((float *)w.value.data)[0] = 0;
    ((float *)w.value.data)[1] = 1;
    cn_model_weights_changed(m);
    const cn_session_opts opts = {.batch = 1, .loss.kind = kind, .training = true};
    assert_int_equal(cn_session_create(&s, m, &opts, NULL), CN_OK);
    cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){1, 1, 2, 1}, x);
    cn_tensor Y = cn_tensor_view(CN_DTYPE_I32, 3, (int[]){1, 1, 2}, (void *)(uintptr_t)labels);
    assert_int_equal(cn_session_forward(s, &X, NULL), CN_OK);
    assert_int_equal(cn_session_loss(s, &Y, &loss, NULL), CN_OK);
    assert_int_equal(cn_session_backward(s, NULL), CN_OK);
    cn_session_free(s);
    cn_model_free(m);
    return loss;
}

static void losses_are_those_of_the_formulas(void **state)
{
    /* y_hat is (1/2, 1/2) and (1/4, 3/4); the labels are 0 and 1. */
    static const int32_t both[2] = {0, 1}, first[2] = {0, CN_LABEL_IGNORED};
    (void)state;
    double half = log(2), quarter = log(4.0 / 3);
    assert_close(loss_of(CN_LOSS_CROSS_ENTROPY, both), (half + quarter) / 2);
    assert_close(loss_of(CN_LOSS_CROSS_ENTROPY, first), half);
    assert_close(loss_of(CN_LOSS_FOCAL, both), (half / 4 + quarter / 16) / 2);
    assert_close(loss_of(CN_LOSS_FOCAL, first), half / 4);
    /* Class 0: I = 1/2, S = 3/4 + 1; class 1: I = 3/4, S = 5/4 + 1. */
    assert_close(loss_of(CN_LOSS_DICE, both), 1 - (2 / 2.75 + 2.5 / 3.25) / 2);
    /* Class 0: I = 1/2, S = 1/2 + 1; class 1: I = 0, S = 1/2. */
    assert_close(loss_of(CN_LOSS_DICE, first), 1 - (2 / 2.5 + 1 / 1.5) / 2);
}

/* Logits z and 0 after a softmax, or z after a sigmoid: the gradient of z in a Dice loss whose only
 * pixel has the other label is as exact where y_hat is rounded to 1 as anywhere. */
static void dice_gradients_survive_saturation(void **state)
{
    static const struct {
        const char *layers;
        int columns, label;
    } rows[] = {{"conv 2 1x1", 2, 1}, {"conv 1 1x1, sigmoid", 1, 0}};
    (void)state;
    for (int i = 0; i < 2; i++)
        for (float z = 3; z < 40; z += 4) {
            cn_model *m = NULL;
            cn_session *s = NULL;
            cn_parameter w, g;
            double loss;
            const int32_t label = rows[i].label;
            assert_int_equal(
                cn_model_parse(&m, rows[i].layers, (int[]){1, 1, 1}, rows[i].columns, 1, NULL), 0);
            assert_true(cn_model_parameter(m, 0, &w));
            memset(w.value.data, 0, cn_tensor_count(&w.value) * sizeof(float));
            ((float *)w.value.data)[0] = z;
            cn_model_weights_changed(m);
            const cn_session_opts opts = {.batch = 1, .loss.kind = CN_LOSS_DICE, .training = true};
            assert_int_equal(cn_session_create(&s, m, &opts, NULL), CN_OK);
            cn_tensor X = cn_tensor_view(CN_DTYPE_F32, 4, (int[]){1, 1, 1, 1}, (float[]){1});
            cn_tensor Y =
                cn_tensor_view(CN_DTYPE_I32, 3, (int[]){1, 1, 1}, (void *)(uintptr_t)&label);
            assert_int_equal(cn_session_forward(s, &X, NULL), CN_OK);
            assert_int_equal(cn_session_loss(s, &Y, &loss, NULL), CN_OK);
            assert_int_equal(cn_session_backward(s, NULL), CN_OK);
            assert_true(cn_session_gradient(s, 0, &g));
            /* p of class 0, q of class 1: I = 0, S = p; I = q, S = q + 1. dp = p q dz = -dq. */
            double p = 1 / (1 + exp(-(double)z)), q = exp(-(double)z) * p;
            double of_p = 1 / ((p + 1) * (p + 1));
            double of_q = -(2 * (q + 2) - (2 * q + 1)) / ((q + 2) * (q + 2));
            double want = rows[i].columns == 1 ? p * q * of_p : p * q * (of_p - of_q) / 2;
            assert_true(fabs((double)((float *)g.value.data)[0] - want) <= 1e-5 * want);
            cn_session_free(s);
            cn_model_free(m);
        }
}

static void overlaps_are_means_over_classes(void **state)
{
    (void)state;
    double iou, dice;
    /* Class 2 neither is there nor is it named. */
    const int64_t confusion[9] = {6, 2, 0, 1, 3, 0, 0, 0, 0};
    cn_mean_overlap(confusion, 3, &iou, &dice);
    assert_close(iou, (6.0 / 9 + 3.0 / 6) / 2);
    assert_close(dice, (12.0 / 15 + 6.0 / 9) / 2);
}

static void class_weights_count_pixels(void **state)
{
    (void)state;
    uint8_t pixels[8] = {0}, values[8] = {0, 0, 0, 1, 1, 0, 255, 255};
    cn_tensor images = cn_tensor_view(CN_DTYPE_U8, 4, (int[]){2, 2, 2, 1}, pixels);
    cn_tensor masks = cn_tensor_view(CN_DTYPE_U8, 3, (int[]){2, 2, 2}, values);
    cn_dataset *data = NULL;
    float weights[3];
    assert_int_equal(cn_dataset_create_masks(&data, &images, &masks, 3, NULL), CN_OK);
    cn_dataset_class_weights(data, weights);
    assert_close((double)weights[0], 6.0 / (3 * 4));
    assert_close((double)weights[1], 6.0 / (3 * 2));
    assert_float_equal(weights[2], 0, 0);
    cn_dataset_free(data);
    values[3] = 3;
    cn_error err = {CN_OK, ""};
    assert_int_equal(cn_dataset_create_masks(&data, &images, &masks, 3, &err), CN_ERR_FORMAT);
    assert_says(err, "mask 0 has a pixel of 3, expected 0 to 2");
}

/* ---- Training */

/* A tiny network learns what the pixels say; the metrics are those of its masks. */
static void a_network_learns_pixels(void **state)
{
    enum { SIZE = 16, TEST = 16 };
    (void)state;
    cn_dataset *train = make_pixels(48, SIZE), *test = make_pixels(TEST, SIZE);
    cn_model *m = NULL;
    cn_progress last;
    cn_metrics before, after;
    int64_t confusion[SHAPES_CLASSES * SHAPES_CLASSES] = {0};
    cn_error err = {CN_OK, ""};
    assert_int_equal(cn_model_parse(&m, "conv 8 1x1, batchnorm, relu, conv classes 1x1",
                                    (int[]){SIZE, SIZE, 1}, SHAPES_CLASSES, 1, &err),
                     CN_OK);
    cn_fit_opts opts = {.epochs = 12,
                        .batch = 8,
                        .seed = 1,
                        .learning_rate = 0.02,
                        .valid = test,
                        .best = {.keep = true, .monitor = CN_MONITOR_MEAN_IOU},
                        .augment = {.flip = CN_FLIP_RANDOM, .crop = 1}};
    assert_int_equal(cn_evaluate(m, test, NULL, &before, NULL, &err), CN_OK);
    if (cn_fit(m, train, &opts, &last, &err) != CN_OK) fail_msg("%s", err.text);
    assert_int_equal(cn_evaluate(m, test, NULL, &after, confusion, &err), CN_OK);
    if (!(after.mean_iou > before.mean_iou + 0.1 && after.accuracy > 0.85))
        fail_msg("mean IoU from %.3f to %.3f, accuracy %.3f", before.mean_iou, after.mean_iou,
                 after.accuracy);
    assert_int_equal(after.count, TEST);
    assert_int_equal(after.judged, TEST * SIZE * SIZE);
    int64_t sum = 0, right = 0;
    double iou, dice;
    for (int i = 0; i < SHAPES_CLASSES * SHAPES_CLASSES; i++) sum += confusion[i];
    for (int i = 0; i < SHAPES_CLASSES; i++) right += confusion[i * (SHAPES_CLASSES + 1)];
    cn_mean_overlap(confusion, SHAPES_CLASSES, &iou, &dice);
    assert_int_equal(sum, after.judged);
    assert_int_equal(right, after.correct);
    assert_true(iou == after.mean_iou && dice == after.mean_dice);
    cn_model_free(m);
    cn_dataset_free(train);
    cn_dataset_free(test);
}

/* A model that copies the image's class gives the mask of the image at its own size. */
static void masks_have_the_size_of_their_image(void **state)
{
    enum { SIZE = 8, LARGE = 20 };
    (void)state;
    uint8_t pixels[SIZE * LARGE];
    cn_model *m = NULL;
    cn_session *s = NULL;
    cn_tensor image = cn_tensor_view(CN_DTYPE_U8, 3, (int[]){SIZE, LARGE, 1}, pixels), mask = {0};
    cn_error err = {CN_OK, ""};
    for (int i = 0; i < SIZE * LARGE; i++) pixels[i] = i % LARGE < LARGE / 2 ? 0 : 255;
    assert_int_equal(cn_model_parse(&m, "conv 1 1x1, sigmoid", (int[]){4, 4, 1}, 2, 1, &err),
                     CN_OK);
    cn_parameter w, b;
    assert_true(cn_model_parameter(m, 0, &w) && cn_model_parameter(m, 1, &b));
    ((float *)w.value.data)[0] = 10;
    ((float *)b.value.data)[0] = -5;
    cn_model_weights_changed(m);
    assert_int_equal(
        cn_model_set_image_opts(m, &(cn_image_opts){.fit = CN_FIT_STRETCH, .high = 1}, &err),
        CN_OK);
    assert_int_equal(cn_session_create(&s, m, NULL, &err), CN_OK);
    assert_int_equal(cn_session_segment(s, &image, &mask, &err), CN_OK);
    assert_int_equal(mask.shape[0], SIZE);
    assert_int_equal(mask.shape[1], LARGE);
    for (int i = 0; i < SIZE * LARGE; i++)
        assert_int_equal(((uint8_t *)mask.data)[i], i % LARGE >= LARGE / 2);
    assert_int_equal(
        cn_model_set_image_opts(m, &(cn_image_opts){.fit = CN_FIT_CROP, .high = 1}, &err), CN_OK);
    assert_int_equal(cn_session_segment(s, &image, &mask, &err), CN_OK);
    for (int i = 0; i < SIZE * LARGE; i++) {
        bool seen = i % LARGE >= 6 && i % LARGE < 14;
        assert_int_equal(((uint8_t *)mask.data)[i],
                         seen ? i % LARGE >= LARGE / 2 : CN_MASK_IGNORED);
    }
    cn_tensor_free(&mask);
    cn_session_free(s);
    cn_model_free(m);
}

static void tasks_do_not_mix(void **state)
{
    (void)state;
    cn_dataset *data = make_pixels(4, 8);
    cn_model *m = NULL;
    cn_metrics metrics;
    cn_error err = {CN_OK, ""};
    assert_int_equal(cn_model_parse(&m, "dense classes", (int[]){8, 8, 1}, 4, 1, NULL), CN_OK);
    assert_int_equal(cn_evaluate(m, data, NULL, &metrics, NULL, &err), CN_ERR_SHAPE);
    assert_says(err, "a class per pixel");
    cn_model_free(m);
    assert_int_equal(cn_model_parse(&m, "conv classes 1x1", (int[]){8, 8, 1}, 4, 1, NULL), CN_OK);
    assert_int_equal(
        cn_evaluate(m, data, &(cn_evaluate_opts){.tta = CN_TTA_MIRROR}, &metrics, NULL, &err),
        CN_ERR_ARGUMENT);
    assert_says(err, "not per pixel");
    cn_model_free(m);
    cn_dataset_free(data);
}

/* Every size goes through a U-Net: what is missing is padded, and cut off again. */
static void unets_take_any_size(void **state)
{
    (void)state;
    for (int size = 31; size <= 32; size++) {
        cn_model *m = NULL;
        int rank;
        assert_int_equal(cn_model_parse(&m, "unet-small", (int[]){size, 40, 3}, 5, 1, NULL), CN_OK);
        const int *out = cn_model_output_shape(m, &rank);
        assert_int_equal(rank, 3);
        assert_memory_equal(out, ((int[]){size, 40, 5}), 3 * sizeof *out);
        cn_model_free(m);
    }
}

/* `test_segmentation DIR N SIZE SEED`: N images and masks to look at and to train on. */
static int write_shapes(char **argv)
{
    int n = atoi(argv[2]), size = atoi(argv[3]);
    char path[FILES_PATH];
    uint8_t *image = malloc((size_t)(size * size * 3)), *mask = malloc((size_t)(size * size));
    cn_tensor X = cn_tensor_view(CN_DTYPE_U8, 3, (int[]){size, size, 3}, image);
    cn_tensor Y = cn_tensor_view(CN_DTYPE_U8, 2, (int[]){size, size}, mask);
    cn_error err = {CN_OK, ""};
    cn_rng rng;
    cn_rng_seed(&rng, (uint32_t)atoi(argv[4]));
    static const char *const folders[] = {"", "/images", "/masks"};
    for (int k = 0; k < 3; k++) {
        snprintf(path, sizeof path, "%s%s", argv[1], folders[k]);
        mkdir(path, 0777);
    }
    for (int i = 0; i < n && err.status == CN_OK; i++) {
        shapes_fill(&rng, size, image, mask);
        snprintf(path, sizeof path, "%s/images/%05d.ppm", argv[1], i);
        if (cn_image_save(&X, path, &err) != CN_OK) break;
        snprintf(path, sizeof path, "%s/masks/%05d.pgm", argv[1], i);
        cn_mask_save(&Y, path, &err);
    }
    if (err.status != CN_OK) fprintf(stderr, "%s\n", err.text);
    free(image);
    free(mask);
    return err.status != CN_OK;
}

int main(int argc, char **argv)
{
    if (argc == 5) return write_shapes(argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(images_find_their_masks),
        cmocka_unit_test(parts_lie_above_or_below),
        cmocka_unit_test(values_become_classes),
        cmocka_unit_test(classes_have_names),
        cmocka_unit_test(masks_are_resized_as_images_are),
        cmocka_unit_test(what_does_not_fit_is_said),
        cmocka_unit_test(masks_are_saved_and_read),
        cmocka_unit_test(overlays_mix_colors),
        cmocka_unit_test(masks_are_turned_as_images_are),
        cmocka_unit_test(masks_are_warped_by_the_nearest),
        cmocka_unit_test(losses_are_those_of_the_formulas),
        cmocka_unit_test(dice_gradients_survive_saturation),
        cmocka_unit_test(overlaps_are_means_over_classes),
        cmocka_unit_test(class_weights_count_pixels),
        cmocka_unit_test(a_network_learns_pixels),
        cmocka_unit_test(masks_have_the_size_of_their_image),
        cmocka_unit_test(tasks_do_not_mix),
        cmocka_unit_test(unets_take_any_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
