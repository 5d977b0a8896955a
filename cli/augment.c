/*
 * augment.c - `convnet augment`: a sheet of images as a network sees them while it is trained.
 *
 * A row of the sheet is an image of the data: first as it is, then as it looks in one epoch after
 * the other. The seed makes it what `convnet train` would show with that seed.
 */
#include "augment/augment.h"
#include "cli.h"

#include "base/base.h"
#include "data/dataset.h"

#include <stdlib.h>
#include <string.h>

typedef struct options {
    cli_common common;
    const char *data, *augment, *out;
    int images, epochs;
    bool skip_damaged;
} options;

static const cli_option augment_options[] = {
    {"data", CLI_TEXT, offsetof(options, data), "SPEC", "digits", 0, 0,
     "the images, as for convnet train"},
    {"augment", CLI_TEXT, offsetof(options, augment), "WORDS", "crop=1 rotate=15", 0, 0,
     "how they are changed, as for convnet train"},
    {"out", CLI_TEXT, offsetof(options, out), "FILE", "augment.png", 0, 0,
     "the sheet to write: .png or .pnm"},
    {"images", CLI_WHOLE, offsetof(options, images), "N", "8", 1, 1000,
     "rows of the sheet: images, spread over the data"},
    {"epochs", CLI_WHOLE, offsetof(options, epochs), "N", "9", 1, 1000,
     "how often each is shown changed"},
    {"skip-damaged", CLI_FLAG, offsetof(options, skip_damaged), NULL, NULL, 0, 0, CLI_SKIP_HELP},
    {.name = NULL},
};

/* Small images are shown larger, `zoom` pixels for one; a frame of white lies around each. */
enum { WANTED_SIDE = 64, GAP = 4 };

typedef struct sheet {
    cn_tensor image;
    int rows, columns, channels; /* of an image in the data */
    int zoom;
} sheet;

static cn_status make_sheet(sheet *s, const int shape[3], int down, int across, cn_error *err)
{
    int side = shape[0] > shape[1] ? shape[0] : shape[1];
    s->rows = shape[0];
    s->columns = shape[1];
    s->channels = shape[2];
    s->zoom = side < WANTED_SIDE ? WANTED_SIDE / side : 1;
    const double height = (double)down * (shape[0] * s->zoom + GAP) + GAP;
    const double width = (double)across * (shape[1] * s->zoom + GAP) + GAP;
    if (height > 30000 || width > 30000) {
        snprintf(err->text, sizeof err->text,
                 "a sheet of %.0f x %.0f pixels, expected at most 30000 x 30000: fewer images or "
                 "epochs",
                 height, width);
        return err->status = CN_ERR_ARGUMENT;
    }
    const int extent[3] = {(int)height, (int)width, shape[2] == 3 ? 3 : 1};
    cn_status status = cn_tensor_create(&s->image, CN_DTYPE_U8, 3, extent, err);
    if (status == CN_OK) memset(s->image.data, 0xff, cn_tensor_count(&s->image));
    return status;
}

/* Draws x (less the mean, which is added) in a row and column of the sheet. Of images that have
 * neither 1 nor 3 channels the first is shown. */
static void draw(const sheet *s, int row, int column, const float *x, const float *mean)
{
    const int colors = s->image.shape[2], width = s->image.shape[1];
    const int top = GAP + row * (s->rows * s->zoom + GAP);
    const int left = GAP + column * (s->columns * s->zoom + GAP);
    for (int r = 0; r < s->rows * s->zoom; r++)
        for (int c = 0; c < s->columns * s->zoom; c++)
            for (int k = 0; k < colors; k++) {
                int from = (r / s->zoom * s->columns + c / s->zoom) * s->channels + k;
                float value = 255 * (x[from] + mean[k]) + 0.5f;
                size_t to =
                    ((size_t)(top + r) * (size_t)width + (size_t)(left + c)) * (size_t)colors;
                ((uint8_t *)s->image.data)[to + (size_t)k] = (uint8_t)(value < 0     ? 0
                                                                       : value > 255 ? 255
                                                                                     : value);
            }
}

static cn_status fill(const options *o, const cn_dataset *data, const cn_augment *augment,
                      const sheet *s, float *room, int32_t *labels, cn_error *err)
{
    const int outputs = cn_dataset_classes(data), size = cn_dataset_size(data);
    float *mean = room, *std = mean + s->channels, *targets = std + s->channels;
    float *x = targets + outputs;
    cn_augmenter augmenter = {0};
    cn_dataset_statistics(data, mean, std);
    cn_status status =
        cn_augmenter_create(&augmenter, data, augment, o->common.seed, mean, NULL, outputs, err);
    if (status != CN_OK) return status;
    for (int row = 0; row < o->images && status == CN_OK; row++) {
        int image = (int)((int64_t)row * size / o->images);
        status = cn_dataset_batch(data, &image, 1, mean, NULL, x, NULL, err);
        if (status == CN_OK) draw(s, row, 0, x, mean);
        for (int epoch = 1; epoch <= o->epochs && status == CN_OK; epoch++) {
            status = cn_augmenter_run(&augmenter, epoch, &image, 1, x, labels, targets, err);
            if (status == CN_OK) draw(s, row, epoch, x, mean);
        }
    }
    cn_augmenter_free(&augmenter);
    return status;
}

static void report(const options *o)
{
    if (!o->common.json) {
        printf("%d image%s, each as it is and in %d epoch%s: %s\n", o->images, cn_plural(o->images),
               o->epochs, cn_plural(o->epochs), o->out);
        return;
    }
    json_t *object = json_object();
    cli_put_text(object, "file", o->out);
    cli_put_whole(object, "images", (size_t)o->images);
    cli_put_whole(object, "epochs", (size_t)o->epochs);
    cli_print_json(object);
}

static int run(const void *given, int count, char *const *operands)
{
    const options *o = given;
    cn_dataset *data = NULL;
    cn_augment augment;
    sheet s = {.zoom = 1};
    float *room = NULL;
    int32_t *labels = NULL; /* of an image: one, or those of its pixels */
    cn_dataset_opts reading = {.skip_damaged = o->skip_damaged};
    cn_error err;
    int code = CLI_FAILED;
    (void)count;
    (void)operands;

    cn_status status = cn_augment_parse(&augment, o->augment, &err);
    if (status == CN_OK) status = cn_dataset_load(&data, o->data, CN_SUBSET_TRAIN, &reading, &err);
    if (status == CN_OK) cli_say_remarks(&o->common, "augment", data, NULL);
    if (status != CN_OK) goto done;
    const int *shape = cn_dataset_shape(data);
    status = make_sheet(&s, shape, o->images, o->epochs + 1, &err);
    if (status != CN_OK) goto done;
    room = malloc(((size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2] + 2 * (size_t)shape[2] +
                   (size_t)cn_dataset_classes(data)) *
                  sizeof *room);
    labels = malloc(cn_dataset_label_size(data) * sizeof *labels);
    if (!room || !labels) {
        snprintf(err.text, sizeof err.text, "out of memory");
        goto done;
    }
    status = fill(o, data, &augment, &s, room, labels, &err);
    if (status == CN_OK) status = cn_image_save(&s.image, o->out, &err);
    if (status != CN_OK) goto done;
    report(o);
    code = CLI_DONE;
done:
    if (code != CLI_DONE) cli_error("augment", "%s", err.text);
    free(room);
    free(labels);
    cn_tensor_free(&s.image);
    cn_dataset_free(data);
    return code;
}

const cli_command cli_augment = {
    .name = "augment",
    .summary = "draws a sheet of images, changed as in training",
    .help = "Shows what --augment makes of the training images, before a network is trained on "
            "them: a row for each image, first as it is, then as it looks in one epoch after the "
            "other. The same seed shows what convnet train would.\n"
            "\n"
            "Examples\n"
            "  convnet augment --augment \"crop=1 rotate=15\"\n"
            "  convnet augment --data cifar10:DIR --augment \"flip crop=4 border=reflect\"\n"
            "  convnet augment --data mnist:DIR --augment \"mixup=0.4\" --out mixed.png\n",
    .options = augment_options,
    .unused = {"threads"},
    .size = sizeof(options),
    .run = run,
};
