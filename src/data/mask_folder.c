/*
 * mask_folder.c - folders of images and of their masks, for segmentation:
 *
 *   DIR/images/a.jpg         DIR/masks/a.png          or a_mask.png, a-mask.png, a_label.png, ...
 *   DIR/train/images/a.jpg   DIR/train/masks/a.png    with the parts above,
 *   DIR/images/train/a.jpg   DIR/masks/train/a.png    or below
 *   DIR/train/a.jpg          DIR/train_masks/a.png    or trainannot, train_labels, ...
 *   DIR/x_train_images/a.jpg DIR/train_gt/a.png       words for both, and for the part, in names
 *   DIR/a.jpg                DIR/a_mask.png           only where it is asked for: masks:DIR
 *
 * at any depth below images and masks. DIR/classes.txt or labels.txt, if there is one, has the name
 * of class 0 in its first line, that of class 1 in the second, and so on; class_dict.csv,
 * label_colors.txt or labelmap.txt has their colors, too (mask_colors.c). DIR/ImageSets/Segmentation, as
 * PASCAL VOC has it, may tell the parts: train.txt, val.txt and test.txt, with a name per line.
 */
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
    cn_names lists[CN_PARTS]; /* of ImageSets, sorted */
    bool listed;
    int unlisted; /* images in none of them */
    int alone;    /* images without a mask */
    char first_alone[CN_PATH_ROOM];
    char colors[CN_PATH_ROOM]; /* the file that tells them, where there is one */
} scan;

/* ---- Which folders */

static const char *const image_words[] = {"images",     "image",    "imgs",      "img",
                                          "JPEGImages", "img_dir",  "PNGImages", "leftImg8bit",
                                          "input",      "original", "data",      NULL};
static const char *const mask_words[] = {
    "SegmentationClass", "masks",         "mask",     "labels", "annotations", "label",
    "segmentation",      "ann_dir",       "annot",    "gt",     "gts",         "gtFine",
    "groundtruth",       "masks_machine", "PedMasks", "truth",  NULL};

/* The folder in `dir` that is called as one of the words, in small or capital letters; or that has
 * one in its name, and the word for a part or, with CN_SAYS_NOTHING, for none. */
static bool find_folder(char path[CN_PATH_ROOM], const char *dir, const char *const *words,
                        cn_said part)
{
    cn_names here = {NULL, 0};
    bool found = false;
    if (cn_names_list(&here, dir, NULL, NULL) != CN_OK) return false;
    for (int exact = part == CN_SAYS_NOTHING; exact >= 0; exact--)
        for (int k = 0; words[k] && !found; k++)
            for (int i = 0; i < here.count && !found; i++) {
                const char *name = here.names[i];
                found = (exact ? cn_same_letters(name, words[k])
                               : cn_name_says(name) == part && cn_name_has(name, words[k]) &&
                                     (words == mask_words || !cn_name_has_any(name, mask_words))) &&
                        cn_path_join(path, dir, name) && cn_is_folder(path);
            }
    cn_names_free(&here);
    return found;
}

static bool find_pair(pair *p, const char *dir, cn_said part)
{
    static const char *const inner[] = {"trimaps", NULL}; /* of the Oxford pets */
    char path[CN_PATH_ROOM];
    bool both = find_folder(p->images, dir, image_words, part) &&
                find_folder(p->masks, dir, mask_words, part);
    if (both && find_folder(path, p->masks, inner, CN_SAYS_NOTHING)) strcpy(p->masks, path);
    if (!both) p->images[0] = p->masks[0] = 0;
    return both;
}

/* A folder of images and another one beside it, of its name and more. */
static bool find_beside(pair *p, const char *images)
{
    static const char *const tails[] = {"_masks", "_mask",  "masks",        "_labels", "_label",
                                        "annot",  "_annot", "_annotations", "_gt"};
    for (size_t k = 0; k < sizeof tails / sizeof *tails; k++)
        if (snprintf(p->masks, CN_PATH_ROOM, "%s%s", images, tails[k]) < CN_PATH_ROOM &&
            cn_is_folder(p->masks)) {
            strcpy(p->images, images);
            return true;
        }
    p->masks[0] = 0;
    return false;
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
        if ((find_part(path, dir, (cn_said)part) &&
             (find_pair(&s->parts[part], path, CN_SAYS_NOTHING) ||
              find_beside(&s->parts[part], path))) ||
            find_pair(&s->parts[part], dir, (cn_said)part))
            any = true;
    if (any || !find_pair(&s->top, dir, CN_SAYS_NOTHING)) return any;
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

/* Images and masks in the same folders: those of the parts, or the one that there is. */
static void use_same_folders(scan *s, const char *dir)
{
    bool any = false;
    for (int part = 0; part < CN_PARTS; part++) {
        pair *p = &s->parts[part];
        if (!find_part(p->images, dir, (cn_said)part)) continue;
        strcpy(p->masks, p->images);
        any = true;
    }
    pair *p = &s->parts[CN_SUBSET_TRAIN];
    if (!any && strlen(dir) < CN_PATH_ROOM) strcpy(p->masks, strcpy(p->images, dir));
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

static const char *const tails[] = {
    "_mask", "-mask",         "_masks", "_label",      "_labels",          "_seg",
    "_gt",   "_segmentation", "_L",     "_annotation", "_gtFine_labelIds", "_Mask",
    "_GT",   "_groundtruth",  "_lesion"};
enum { TAILS = sizeof tails / sizeof *tails };

/* Does a name end in this, its ending aside? */
static bool has_tail(const char *name, const char *tail)
{
    size_t length = stem_of(name), size = strlen(tail);
    return length > size && memcmp(name + length - size, tail, size) == 0;
}

/* The mask of the image's name, unless they lie in the `same` folder; or of a longer one. */
static const char *find_mask(const cn_names *masks, const char *image, bool same)
{
    static const char photo[] = "_leftImg8bit"; /* of Cityscapes */
    char stem[CN_PATH_ROOM];
    size_t length = stem_of(image) - (has_tail(image, photo) ? sizeof photo - 1 : 0);
    const char *found = NULL;
    for (int k = same ? 0 : -1; k < TAILS && !found; k++)
        if (snprintf(stem, sizeof stem, "%.*s%s", (int)length, image, k < 0 ? "" : tails[k]) <
            CN_PATH_ROOM)
            found = find_stem(masks, stem);
    return found || same ? found : find_stem(masks, image); /* a.jpg.png */
}

static bool is_mask(const char *name)
{
    bool any = false;
    for (int k = 0; k < TAILS; k++) any = any || has_tail(name, tails[k]);
    return any;
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

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The part whose list has the image; CN_PARTS for none. */
static int find_listed(const scan *s, const char *image)
{
    char stem[CN_PATH_ROOM];
    const char *name = stem;
    int part = 0;
    snprintf(stem, sizeof stem, "%.*s", (int)stem_of(image), image);
    for (; part < CN_PARTS; part++)
        if (s->lists[part].count &&
            bsearch(&name, s->lists[part].names, (size_t)s->lists[part].count, sizeof name,
                    compare_texts))
            break;
    return part;
}

static cn_status add_pairs(scan *s, int part, const cn_names *images, const cn_names *masks,
                           cn_error *err)
{
    char image[CN_PATH_ROOM], mask[CN_PATH_ROOM];
    const pair *p = &s->parts[part];
    const bool same = strcmp(p->images, p->masks) == 0;
    cn_status status = CN_OK;
    for (int i = 0; status == CN_OK && i < images->count; i++) {
        const char *found = find_mask(masks, images->names[i], same);
        int own = s->listed ? find_listed(s, images->names[i]) : part;
        if (own == CN_PARTS) {
            s->unlisted++;
        } else if (!found) {
            if (same && is_mask(images->names[i])) continue;
            if (s->alone++ == 0)
                snprintf(s->first_alone, sizeof s->first_alone, "%s", images->names[i]);
        } else if (!cn_path_join(image, p->images, images->names[i]) ||
                   !cn_path_join(mask, p->masks, found)) {
            status = cn_fail(err, CN_ERR_IO, "%.120s: the path is too long", p->images);
        } else {
            status = cn_image_list_add_mask(&s->set.parts[own], image, mask, err);
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

static cn_status read_lists(scan *s, const char *dir, cn_error *err)
{
    static const char *const names[CN_PARTS] = {"train", "test", "val"};
    char path[CN_PATH_ROOM];
    cn_status status = CN_OK;
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++)
        if (snprintf(path, sizeof path, "%s/ImageSets/Segmentation/%s.txt", dir, names[part]) <
                CN_PATH_ROOM &&
            access(path, F_OK) == 0) {
            cn_names *list = &s->lists[part];
            status = cn_lines_read(list, path, err);
            if (list->count)
                qsort(list->names, (size_t)list->count, sizeof *list->names, compare_texts);
            s->listed = s->listed || list->count > 0;
        }
    return status;
}

static cn_status find_images(scan *s, const char *dir, cn_error *err)
{
    char name[64], passed[CN_PASSED_TEXT];
    int count = 0;
    cn_status status = CN_OK;
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++)
        if (s->parts[part].images[0]) status = add_part(s, part, err);
    for (int part = 0; part < CN_PARTS; part++) count += s->set.parts[part].count;
    if (status == CN_OK && count == 0)
        status = cn_fail(
            err, CN_ERR_FORMAT,
            "%.100s: expected images with masks of the same names, found %d without%s%s", dir,
            s->alone, s->passed.kind_count ? ", and " : "", cn_passed_text(&s->passed, passed));
    if (status == CN_OK && s->unlisted > 0)
        status = cn_remark(s->request->remarks, err, "passed over %d image%s in no list of %s",
                           s->unlisted, cn_plural(s->unlisted), "ImageSets/Segmentation");
    if (status == CN_OK && s->alone > 0)
        status = cn_remark(s->request->remarks, err,
                           "passed over %d image%s without a mask, the first is %s", s->alone,
                           cn_plural(s->alone), cn_plain_text(s->first_alone, name, sizeof name));
    return status == CN_OK ? cn_passed_remark(&s->passed, s->request->remarks, err) : status;
}

/* The first of these files that lies in the folder. */
static bool find_file(char path[CN_PATH_ROOM], const char *dir, const char *const *files)
{
    while (*files && !(cn_path_join(path, dir, *files) && access(path, F_OK) == 0)) files++;
    return *files;
}

/* Does a path lead to a folder, or to one below it? */
static bool leads_into(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return strncmp(path, folder, length) == 0 && (path[length] == '/' || !path[length]);
}

/* Other images lie beside those of a part, and might be the masks that were meant (mask of DRIVE is the
 * field of view, 1st_manual the vessels). */
static cn_status say_others(const scan *s, int part, cn_error *err)
{
    char dir[CN_PATH_ROOM], path[CN_PATH_ROOM];
    cn_names names = {NULL, 0};
    const char *images = s->parts[part].images, *slash = strrchr(images, '/');
    if (!slash) return CN_OK;
    snprintf(dir, sizeof dir, "%.*s", (int)(slash - images), images);
    cn_status status = cn_names_list(&names, dir, NULL, err);
    for (int i = 0; status == CN_OK && i < names.count; i++) {
        bool used = !cn_path_join(path, dir, names.names[i]) || !cn_is_folder(path);
        for (int k = 0; k < CN_PARTS; k++)
            used =
                used || leads_into(s->parts[k].images, path) || leads_into(s->parts[k].masks, path);
        if (!used && cn_names_any(path, cn_is_image_name))
            status = cn_remark(s->request->remarks, err, "masks are in %s; passed over %s",
                               s->parts[part].masks, path);
    }
    cn_names_free(&names);
    return status;
}

static cn_status read_names(scan *s, const char *dir, cn_error *err)
{
    enum { MOST = 255 };
    static const char *const files[] = {"classes.txt", "labels.txt", NULL};
    static const char *const colors[] = {"class_dict.csv", "label_colors.txt", "labelmap.txt",
                                         NULL};
    char path[CN_PATH_ROOM];
    cn_names lines = {NULL, 0};
    if (find_file(s->colors, dir, colors)) s->set.colors = s->colors;
    if (s->set.colors || !find_file(path, dir, files)) return CN_OK;
    cn_status status = cn_lines_read(&lines, path, err);
    s->set.class_names = lines.names;
    s->set.classes = lines.count;
    if (status != CN_OK || (lines.count > 0 && lines.count <= MOST)) return status;
    return cn_fail(err, CN_ERR_FORMAT, "%.120s: expected 1 to %d names of classes, found %d", path,
                   MOST, lines.count);
}

static cn_status load(cn_dataset **data, const char *dir, const cn_request *request, cn_error *err)
{
    scan *s = cn_allocate(1, sizeof *s, "masks", err);
    if (!s) return CN_ERR_MEMORY;
    s->request = request;
    s->set.masked = true;
    cn_status status = CN_OK;
    if (!find_folders(s, dir)) use_same_folders(s, dir);
    if (s->top.images[0] && strcmp(s->top.images, s->parts[CN_SUBSET_TRAIN].images) == 0)
        status = read_lists(s, dir, err);
    if (status == CN_OK) status = read_names(s, dir, err);
    if (status == CN_OK) status = find_images(s, dir, err);
    if (status == CN_OK) status = say_others(s, CN_SUBSET_TRAIN, err);
    if (status == CN_OK) status = cn_images_load(data, &s->set, request, dir, err);
    cn_image_set_free(&s->set);
    cn_release(s->set.class_names);
    for (int part = 0; part < CN_PARTS; part++) cn_release(s->lists[part].names);
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
