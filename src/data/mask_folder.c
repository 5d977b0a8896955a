/*
 * mask_folder.c - folders of images and of their masks, for segmentation:
 *
 *   DIR/images/a.jpg         DIR/masks/a.png          or a_mask.png, a-mask.png, a_label.png, ...
 *   DIR/train/images/a.jpg   DIR/train/masks/a.png    with the parts above,
 *   DIR/images/train/a.jpg   DIR/masks/train/a.png    or below
 *
 * at any depth below images and masks. DIR/classes.txt or labels.txt, if there is one, has the name
 * of class 0 in its first line, that of class 1 in the second, and so on.
 */
#include "base/source.h"
#include "data/images.h"
#include "data/passed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The folders of a part; "" for none. */
typedef struct pair {
    char images[CN_PATH_ROOM], masks[CN_PATH_ROOM];
} pair;

typedef struct scan {
    const cn_request *request;
    pair top;
    pair parts[CN_PARTS];
    cn_image_set set;
    cn_passed passed;
    int alone; /* images without a mask */
    char first_alone[CN_PATH_ROOM];
    char *names; /* the text of classes.txt, which the class names point into */
} scan;

/* ---- Which folders */

/* The folder in `dir` with one of these names, in small or capital letters. */
static bool find_folder(char path[CN_PATH_ROOM], const char *dir, const char *const *names)
{
    cn_names here = {NULL, 0};
    bool found = false;
    if (cn_names_list(&here, dir, NULL, NULL) != CN_OK) return false;
    for (int k = 0; names[k] && !found; k++)
        for (int i = 0; i < here.count && !found; i++)
            found = cn_same_letters(here.names[i], names[k]) &&
                    cn_path_join(path, dir, here.names[i]) && cn_is_folder(path);
    cn_names_free(&here);
    return found;
}

static bool find_pair(pair *p, const char *dir)
{
    static const char *const images[] = {"images", "image", "imgs", "img", "JPEGImages", NULL};
    static const char *const masks[] = {"masks",        "mask",  "labels",
                                        "annotations",  "label", "SegmentationClass",
                                        "segmentation", NULL};
    bool both = find_folder(p->images, dir, images) && find_folder(p->masks, dir, masks);
    if (!both) p->images[0] = p->masks[0] = 0;
    return both;
}

/* A folder in `dir` whose name is the word for a part. */
static bool find_part(char path[CN_PATH_ROOM], const char *dir, cn_said part)
{
    cn_names here = {NULL, 0};
    bool found = false;
    if (cn_names_list(&here, dir, NULL, NULL) != CN_OK) return false;
    for (int i = 0; i < here.count && !found; i++)
        found = cn_name_is(here.names[i]) == part && cn_path_join(path, dir, here.names[i]) &&
                cn_is_folder(path);
    cn_names_free(&here);
    return found;
}

/* The folders of the parts, above or below; without parts all is to train on. */
static bool find_folders(scan *s, const char *dir)
{
    char path[CN_PATH_ROOM];
    bool any = false;
    for (int part = 0; part < CN_PARTS; part++)
        if (find_part(path, dir, (cn_said)part) && find_pair(&s->parts[part], path)) any = true;
    if (any || !find_pair(&s->top, dir)) return any;
    for (int part = 0; part < CN_PARTS; part++) {
        pair *p = &s->parts[part];
        if (find_part(p->images, s->top.images, (cn_said)part) &&
            find_part(p->masks, s->top.masks, (cn_said)part))
            any = true;
        else
            p->images[0] = 0;
    }
    if (!any) s->parts[CN_SUBSET_TRAIN] = s->top;
    return true;
}

static bool detects(const char *dir)
{
    scan *s = cn_allocate(1, sizeof *s, "masks", NULL);
    bool found = s && find_folders(s, dir);
    cn_release(s);
    return found;
}

/* ---- Which mask */

/* The length of a path without its ending. */
static size_t stem_of(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(path, '.');
    return dot && (!slash || dot > slash) ? (size_t)(dot - path) : strlen(path);
}

/* Compares the stems of two paths; names begin where their ending is no part of it. */
static int compare_stems(const char *a, size_t length, const char *b)
{
    size_t other = stem_of(b), both = length < other ? length : other;
    int order = memcmp(a, b, both);
    return order ? order : (length > other) - (length < other);
}

static int compare(const void *a, const void *b)
{
    const char *x = *(char *const *)a, *y = *(char *const *)b;
    int order = compare_stems(x, stem_of(x), y);
    return order ? order : strcmp(x, y);
}

/* The mask, of those sorted by their stems, with this stem; NULL for none. */
static const char *find_stem(const cn_names *masks, const char *stem)
{
    int low = 0, high = masks->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (compare_stems(stem, strlen(stem), masks->names[middle]) > 0)
            low = middle + 1;
        else
            high = middle;
    }
    bool found = low < masks->count && compare_stems(stem, strlen(stem), masks->names[low]) == 0;
    return found ? masks->names[low] : NULL;
}

static const char *find_mask(const cn_names *masks, const char *image)
{
    static const char *const tails[] = {"",        "_mask", "-mask", "_masks",       "_label",
                                        "_labels", "_seg",  "_gt",   "_segmentation"};
    char stem[CN_PATH_ROOM];
    for (size_t k = 0; k < sizeof tails / sizeof *tails; k++) {
        int length = snprintf(stem, sizeof stem, "%.*s%s", (int)stem_of(image), image, tails[k]);
        const char *found = length < CN_PATH_ROOM ? find_stem(masks, stem) : NULL;
        if (found) return found;
    }
    return NULL;
}

/* ---- The set */

/* Leaves the images in a list, and counts the others. */
static void keep_images(scan *s, cn_names *names)
{
    int kept = 0;
    for (int i = 0; i < names->count; i++) {
        const char *slash = strrchr(names->names[i], '/');
        if (cn_is_image_name(names->names[i])) {
            names->names[kept++] = names->names[i];
            continue;
        }
        cn_passed_add(&s->passed, slash ? slash + 1 : names->names[i]);
        cn_release(names->names[i]);
    }
    names->count = kept;
}

static cn_status add_pairs(scan *s, int part, const cn_names *images, const cn_names *masks,
                           cn_error *err)
{
    char image[CN_PATH_ROOM], mask[CN_PATH_ROOM];
    const pair *p = &s->parts[part];
    cn_status status = CN_OK;
    for (int i = 0; status == CN_OK && i < images->count; i++) {
        const char *found = find_mask(masks, images->names[i]);
        if (!found) {
            if (s->alone++ == 0)
                snprintf(s->first_alone, sizeof s->first_alone, "%s", images->names[i]);
        } else if (!cn_path_join(image, p->images, images->names[i]) ||
                   !cn_path_join(mask, p->masks, found)) {
            status = cn_fail(err, CN_ERR_IO, "%.120s: the path is too long", p->images);
        } else {
            status = cn_image_list_add_mask(&s->set.parts[part], image, mask, err);
        }
    }
    return status;
}

static cn_status add_part(scan *s, int part, cn_error *err)
{
    cn_names images = {NULL, 0}, masks = {NULL, 0};
    const pair *p = &s->parts[part];
    cn_status status = cn_names_walk(&images, p->images, err);
    if (status == CN_OK) status = cn_names_walk(&masks, p->masks, err);
    if (status == CN_OK) {
        keep_images(s, &images);
        keep_images(s, &masks);
        if (masks.count) qsort(masks.names, (size_t)masks.count, sizeof *masks.names, compare);
        status = add_pairs(s, part, &images, &masks, err);
    }
    cn_names_free(&images);
    cn_names_free(&masks);
    return status;
}

static cn_status find_images(scan *s, const char *dir, cn_error *err)
{
    char name[64];
    int count = 0;
    cn_status status = CN_OK;
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++) {
        if (s->parts[part].images[0]) status = add_part(s, part, err);
        count += s->set.parts[part].count;
    }
    if (status == CN_OK && count == 0)
        status = cn_fail(err, CN_ERR_FORMAT,
                         "%.100s: expected images with masks of the same names, found %d without",
                         dir, s->alone);
    if (status == CN_OK && s->alone > 0)
        status = cn_remark(s->request->remarks, err,
                           "passed over %d image%s without a mask, the first is %s", s->alone,
                           cn_plural(s->alone), cn_plain_text(s->first_alone, name, sizeof name));
    return status == CN_OK ? cn_passed_remark(&s->passed, s->request->remarks, err) : status;
}

/* Cuts the text into lines, which become the names. */
static cn_status cut_names(scan *s, const char *path, cn_error *err)
{
    enum { MOST = 255 };
    s->set.class_names = cn_allocate(MOST, sizeof *s->set.class_names, path, err);
    if (!s->set.class_names) return CN_ERR_MEMORY;
    for (char *line = s->names; *line;) {
        char *end = line + strcspn(line, "\r\n"), *next = end + strspn(end, "\r\n");
        *end = 0;
        if (s->set.classes == MOST)
            return cn_fail(err, CN_ERR_FORMAT, "%.120s: more than %d names of classes", path, MOST);
        s->set.class_names[s->set.classes++] = line;
        line = next;
    }
    return s->set.classes ? CN_OK
                          : cn_fail(err, CN_ERR_FORMAT, "%.120s: expected a name per line", path);
}

static cn_status read_names(scan *s, const char *dir, cn_error *err)
{
    enum { MOST_BYTES = 1 << 20 };
    static const char *const files[] = {"classes.txt", "labels.txt"};
    char path[CN_PATH_ROOM];
    uint8_t *bytes = NULL;
    size_t size = 0, k = 0;
    while (k < 2 && !(cn_path_join(path, dir, files[k]) && access(path, F_OK) == 0)) k++;
    if (k == 2) return CN_OK;
    cn_status status = cn_file_read(path, MOST_BYTES, NULL, &bytes, &size, err);
    s->names = (char *)bytes; /* cn_allocate leaves zeros behind it */
    if (status == CN_OK && memchr(bytes, 0, size))
        status = cn_fail(err, CN_ERR_FORMAT, "%.120s: expected text, found a byte of 0", path);
    return status == CN_OK ? cut_names(s, path, err) : status;
}

static cn_status load(cn_dataset **data, const char *dir, const cn_request *request, cn_error *err)
{
    scan *s = cn_allocate(1, sizeof *s, "masks", err);
    if (!s) return CN_ERR_MEMORY;
    s->request = request;
    s->set.masked = true;
    cn_status status = CN_OK;
    if (!find_folders(s, dir))
        status = cn_fail(err, CN_ERR_FORMAT,
                         "%.100s: expected the folders images and masks, found neither there nor "
                         "in train, test or val",
                         dir);
    if (status == CN_OK) status = read_names(s, dir, err);
    if (status == CN_OK) status = find_images(s, dir, err);
    if (status == CN_OK) status = cn_images_load(data, &s->set, request, dir, err);
    cn_image_set_free(&s->set);
    cn_release(s->set.class_names);
    cn_release(s->names);
    cn_release(s);
    return status;
}

const cn_reader cn_reader_masks = {
    .name = "masks",
    .usage = "masks:DIR",
    .detects = detects,
    .takes = CN_OPTIONS_OF_MASKS,
    .load = load,
};
