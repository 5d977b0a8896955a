/*
 * folder.c - folders of images, a sub-folder per class:
 *
 *   DIR/train/cat/0001.png   DIR/train/dog/a.jpg   to train on; training
 *   DIR/test/cat/0900.png    DIR/test/dog/b.jpg    to test on; testing
 *   DIR/val/cat/0950.png     DIR/val/dog/c.jpg     to validate on; valid, validation
 *
 * in small or capital letters, or with these words in their names (seg_train, test_set), or DIR/cat and
 * DIR/dog by themselves; images may lie at any depth below
 * the folder of their class. Classes and images are in the
 * order of the bytes of their names, whatever the file system says. What is no image by its ending
 * is passed over, and so is a class without images; both are said.
 */
#include "data/images.h"
#include "data/passed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What there is in a folder. */
typedef struct scan {
    const cn_request *request;
    char dirs[CN_PARTS][CN_PATH_ROOM]; /* of the parts; "" for none */
    cn_names classes;
    cn_image_set set;
    cn_passed passed;
    int outside; /* images in folders of parts, but in none of a class */
} scan;

static cn_status too_long(const char *dir, cn_error *err)
{
    return cn_fail(err, CN_ERR_IO, "%.120s: the path is too long", dir);
}

/* ---- Which folders */

/* The sub-folders of a folder; *images counts the images that lie beside them. */
static cn_status list_folders(cn_names *folders, const char *dir, int *images, cn_error *err)
{
    char path[CN_PATH_ROOM];
    cn_names names = {NULL, 0};
    int kept = 0;
    cn_status status = cn_names_list(&names, dir, NULL, err);
    if (status != CN_OK) return status;
    for (int i = 0; i < names.count; i++) {
        char *name = names.names[i];
        bool folder = cn_path_join(path, dir, name) && cn_is_folder(path);
        if (!folder && images) *images += cn_is_image_name(name);
        if (folder && !cn_is_litter(name))
            names.names[kept++] = name;
        else
            cn_release(name);
    }
    names.count = kept;
    *folders = names;
    return CN_OK;
}

/* A folder named train is a part of the set if there are folders in it, and else a class. */
static bool is_part(const char *dir)
{
    cn_names inside = {NULL, 0};
    bool any = list_folders(&inside, dir, NULL, NULL) == CN_OK && inside.count > 0;
    cn_names_free(&inside);
    return any;
}

/* Of a few folders, the only one with images stays. */
static void keep_with_images(cn_names *inside, const char *dir)
{
    enum { FEW = 8 };
    char path[CN_PATH_ROOM];
    int found = 0, at = 0;
    for (int i = 0; inside->count <= FEW && found < 2 && i < inside->count; i++)
        if (cn_path_join(path, dir, inside->names[i]) && cn_names_any(path, cn_is_image_name))
            at = i, found++;
    if (found != 1) return;
    char *kept = inside->names[at];
    inside->names[at] = inside->names[0];
    inside->names[0] = kept;
    while (inside->count > 1) cn_release(inside->names[--inside->count]);
}

/* Enters the only folder in a folder; false where there are more, or images beside it. */
static bool enter(char dir[CN_PATH_ROOM], bool namesake)
{
    char path[CN_PATH_ROOM];
    cn_names inside = {NULL, 0};
    int images = 0;
    const char *slash = strrchr(dir, '/');
    cn_status status = list_folders(&inside, dir, &images, NULL);
    if (!namesake && inside.count > 1) keep_with_images(&inside, dir);
    bool alone = status == CN_OK && inside.count == 1 && images == 0 &&
                 cn_path_join(path, dir, inside.names[0]) &&
                 (namesake ? slash && strcmp(slash + 1, inside.names[0]) == 0
                           : cn_name_is(inside.names[0]) == CN_SAYS_NOTHING);
    if (alone) strcpy(dir, path);
    cn_names_free(&inside);
    return alone;
}

bool cn_folder_unwrap(char *dir)
{
    while (enter(dir, false)) continue;
    return is_part(dir);
}

/* Sets dirs to folders whose names `say` which part they are. Archives repeat a folder's name
 * (training_set/training_set/cat): the inner one counts. */
static cn_status take_parts(scan *s, const char *dir, const cn_names *names,
                            cn_said (*say)(const char *name), cn_error *err)
{
    char path[CN_PATH_ROOM];
    for (int i = 0; i < names->count; i++) {
        cn_said part = say(names->names[i]);
        if (part == CN_SAYS_NOTHING || !cn_path_join(path, dir, names->names[i]) || !is_part(path))
            continue;
        if (s->dirs[part][0])
            return cn_fail(err, CN_ERR_FORMAT, "%.80s and %.80s: both the same part of the set",
                           s->dirs[part], names->names[i]);
        enter(path, true);
        strcpy(s->dirs[part], path);
    }
    return CN_OK;
}

/* Sets dirs: those of the parts, or else the folder itself as the one to train on. Where no name is
 * a word for a part, two that have one among others will do (seg_train, seg_test). */
static cn_status find_parts(scan *s, const char *dir, cn_error *err)
{
    char(*dirs)[CN_PATH_ROOM] = s->dirs;
    cn_names names = {NULL, 0};
    cn_status status = list_folders(&names, dir, NULL, err);
    if (status == CN_OK) status = take_parts(s, dir, &names, cn_name_is, err);
    bool any = dirs[CN_SUBSET_TRAIN][0] || dirs[CN_SUBSET_TEST][0] || dirs[CN_SUBSET_VALIDATION][0];
    if (status == CN_OK && !any) {
        any = take_parts(s, dir, &names, cn_name_says, NULL) == CN_OK && dirs[CN_SUBSET_TRAIN][0] &&
              (dirs[CN_SUBSET_TEST][0] || dirs[CN_SUBSET_VALIDATION][0]);
        for (int part = 0; !any && part < CN_PARTS; part++) dirs[part][0] = 0;
    }
    if (status == CN_OK && !any) {
        if (strlen(dir) < CN_PATH_ROOM)
            strcpy(s->dirs[CN_SUBSET_TRAIN], dir);
        else
            status = too_long(dir, err);
    }
    cn_names_free(&names);
    return status;
}

/* Folders that systems and archives leave are no classes, even where there are images in them. */
static cn_status say_litter(const scan *s, const char *dir, cn_error *err)
{
    char path[CN_PATH_ROOM];
    cn_names names = {NULL, 0};
    cn_status status = cn_names_list(&names, dir, cn_is_litter, err);
    for (int i = 0; status == CN_OK && i < names.count; i++)
        if (cn_path_join(path, dir, names.names[i]) && cn_is_folder(path))
            status = cn_remark(s->request->remarks, err,
                               "passed over the folder %s, which systems and archives leave",
                               names.names[i]);
    cn_names_free(&names);
    return status;
}

/* What lies beside the folders of parts belongs to none of them. */
static cn_status say_strays(const scan *s, const char *dir, cn_error *err)
{
    char path[CN_PATH_ROOM];
    cn_names names = {NULL, 0};
    int images = s->outside;
    bool parted = strcmp(s->dirs[CN_SUBSET_TRAIN], dir) != 0;
    cn_status status = list_folders(&names, dir, parted ? &images : NULL, err);
    for (int i = 0; status == CN_OK && parted && i < names.count; i++) {
        bool used = false;
        if (!cn_path_join(path, dir, names.names[i])) continue;
        for (int part = 0; part < CN_PARTS; part++) /* or one in it, of the same name */
            used = used || strncmp(s->dirs[part], path, strlen(path)) == 0;
        if (!used)
            status =
                cn_remark(s->request->remarks, err,
                          "passed over the folder %s, which is no part of the set", names.names[i]);
    }
    if (status == CN_OK && images > 0)
        status = cn_remark(s->request->remarks, err, "passed over %d image%s outside of any class",
                           images, cn_plural(images));
    cn_names_free(&names);
    return status == CN_OK ? say_litter(s, dir, err) : status;
}

/* ---- Classes */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int find_class(const cn_names *classes, const char *name)
{
    for (int i = 0; i < classes->count; i++)
        if (strcmp(classes->names[i], name) == 0) return i;
    return -1;
}

/* A mask and its image are no examples of the same class. */
static cn_status refuse_mask(const cn_names *files, const char *file, const char *dir,
                             cn_error *err)
{
    static const char tail[] = "_mask.";
    char image[CN_PATH_ROOM];
    const char *at = strstr(file, tail), *key = image;
    if (!at || strchr(at, '/') || strlen(file) >= sizeof image) return CN_OK;
    snprintf(image, sizeof image, "%.*s%s", (int)(at - file), file, at + sizeof tail - 2);
    if (!bsearch(&key, files->names, (size_t)files->count, sizeof key, compare)) return CN_OK;
    return cn_fail(err, CN_ERR_FORMAT,
                   "%.80s: %.60s is the mask of %.60s: masks:DIR reads these for segmentation", dir,
                   file, image);
}

/* Nor are images and masks in folders of their own, per class or even per image. */
static cn_status refuse_masks(const cn_names *files, const char *dir, cn_error *err)
{
    bool image = false, mask = false;
    for (int i = 0; i < files->count; i++) {
        if (!strchr(files->names[i], '/')) continue;
        image = image || cn_name_has(files->names[i], "images");
        mask = mask || cn_name_has(files->names[i], "masks");
    }
    if (!image || !mask) return CN_OK;
    return cn_fail(err, CN_ERR_FORMAT,
                   "%.80s: expected the images of a class, found images and masks: leave masks out "
                   "to learn classes; for segmentation put all images into one folder images, and "
                   "a mask for each, several of them joined, into masks",
                   dir);
}

/* Nor are train and test in the folder of a class one heap of images. */
static cn_status refuse_parts(const cn_names *files, const char *dir, cn_error *err)
{
    char first[16];
    const char *last = NULL;
    cn_said before = CN_SAYS_NOTHING;
    for (int i = 0; i < files->count; i++) {
        const char *slash = strchr(files->names[i], '/');
        if (!slash || slash - files->names[i] >= (int)sizeof first) continue;
        snprintf(first, sizeof first, "%.*s", (int)(slash - files->names[i]), files->names[i]);
        cn_said part = cn_name_is(first);
        if (part == CN_SAYS_NOTHING) continue;
        if (last && part != before)
            return cn_fail(
                err, CN_ERR_FORMAT,
                "%.80s: expected the images of a class, found %.*s and %s: the folders of "
                "the parts go above those of the classes",
                dir, (int)strcspn(last, "/"), last, first);
        before = part;
        last = files->names[i];
    }
    return CN_OK;
}

/* The images of a class, at every depth below its folder. */
static cn_status add_images(scan *s, int part, const char *dir, int32_t label, cn_error *err)
{
    char path[CN_PATH_ROOM];
    cn_names files = {NULL, 0};
    cn_status status = cn_names_walk(&files, dir, err);
    if (status == CN_OK) status = refuse_masks(&files, dir, err);
    if (status == CN_OK) status = refuse_parts(&files, dir, err);
    for (int i = 0; status == CN_OK && i < files.count; i++) {
        const char *file = files.names[i], *slash = strrchr(file, '/');
        if (!cn_is_image_name(file))
            cn_passed_add(&s->passed, slash ? slash + 1 : file);
        else if (!cn_path_join(path, dir, file))
            status = too_long(dir, err);
        else if ((status = refuse_mask(&files, file, dir, err)) == CN_OK)
            status = cn_image_list_add(&s->set.parts[part], path, label, err);
    }
    cn_names_free(&files);
    return status;
}

/* Does a folder hold some of the classes again? */
static bool holds_classes(const scan *s, const char *dir)
{
    enum { SOME = 8 };
    char path[CN_PATH_ROOM];
    int held = 0;
    for (int i = 0; i < s->classes.count && i < SOME; i++)
        held += cn_path_join(path, dir, s->classes.names[i]) && cn_is_folder(path);
    return held > 1;
}

/* A folder beside the classes that holds them again, as some archives do, is no class. */
static cn_status drop_copies(scan *s, const char *dir, cn_error *err)
{
    char path[CN_PATH_ROOM];
    cn_names *classes = &s->classes;
    cn_status status = CN_OK;
    for (int i = 0; status == CN_OK && i < classes->count; i++) {
        char *name = classes->names[i];
        if (!cn_path_join(path, dir, name) || !holds_classes(s, path)) continue;
        status = cn_remark(s->request->remarks, err,
                           "passed over the folder %s, which holds the classes again", name);
        classes->count--;
        memmove(classes->names + i, classes->names + i + 1,
                (size_t)(classes->count - i) * sizeof *classes->names);
        cn_release(name);
        i--;
    }
    return status;
}

/* Adds the images of a part, whose sub-folders are some of the classes. */
static cn_status add_classes(scan *s, int part, cn_error *err)
{
    char path[CN_PATH_ROOM];
    const char *dir = s->dirs[part];
    cn_names here = {NULL, 0};
    cn_status status = list_folders(&here, dir, &s->outside, err);
    /* test/unknown, val/images: these images have no classes. */
    bool unlabeled =
        here.count == 1 && s->classes.count > 1 && find_class(&s->classes, here.names[0]) < 0;
    if (status == CN_OK && unlabeled) {
        status = cn_remark(s->request->remarks, err,
                           "passed over %s, whose only folder, %s, is no class to train on", dir,
                           here.names[0]);
        cn_names_free(&here);
    }
    for (int i = 0; status == CN_OK && i < here.count; i++) {
        int label = find_class(&s->classes, here.names[i]), before = s->set.parts[part].count;
        if (!cn_path_join(path, dir, here.names[i])) status = too_long(dir, err);
        if (status == CN_OK && holds_classes(s, path)) continue;
        if (status == CN_OK) status = add_images(s, part, path, label, err);
        if (status == CN_OK && label < 0 && s->set.parts[part].count > before)
            status = cn_fail(err, CN_ERR_FORMAT,
                             "%.100s: %.60s is no class to train on: expected the same sub-folders",
                             dir, here.names[i]);
    }
    cn_names_free(&here);
    return status;
}

/* Takes the classes out that have no images in any part, and says which have none to train on. */
static cn_status drop_empty(scan *s, cn_error *err)
{
    int kept = 0;
    cn_status status = CN_OK;
    int *count = cn_allocate(2 * (size_t)s->classes.count + 1, sizeof *count, "classes", err);
    if (!count) return CN_ERR_MEMORY;
    int *label = count + s->classes.count;
    const cn_image_list *train = &s->set.parts[CN_SUBSET_TRAIN];
    for (int i = 0; i < train->count; i++) count[train->labels[i]]++;
    for (int part = 1; part < CN_PARTS; part++)
        for (int i = 0; i < s->set.parts[part].count; i++) label[s->set.parts[part].labels[i]]++;
    for (int i = 0; i < s->classes.count; i++) {
        char *name = s->classes.names[i];
        bool empty = count[i] == 0 && label[i] == 0;
        if (status == CN_OK && count[i] == 0 && (empty || s->dirs[CN_SUBSET_TRAIN][0]))
            status = cn_remark(s->request->remarks, err,
                               empty ? "passed over the folder %s, which has no images"
                                     : "class %s has no images to train on",
                               name);
        label[i] = kept;
        if (empty)
            cn_release(name);
        else
            s->classes.names[kept++] = name;
    }
    s->classes.count = kept;
    for (int part = 0; part < CN_PARTS; part++)
        for (int i = 0; i < s->set.parts[part].count; i++)
            s->set.parts[part].labels[i] = label[s->set.parts[part].labels[i]];
    cn_release(count);
    return status;
}

/* The folders in that of class i; none where there are images beside them. */
static cn_status list_inside(cn_names *inside, const cn_names *classes, int i, const char *dir,
                             cn_error *err)
{
    char path[CN_PATH_ROOM];
    int images = 0;
    if (!cn_path_join(path, dir, classes->names[i])) return CN_OK;
    cn_status status = list_folders(inside, path, &images, err);
    if (images > 0) cn_names_free(inside);
    return status;
}

/* The same folders in those of the first two classes may be the classes themselves, below folds or
 * kinds of images. */
static cn_status say_alike(const scan *s, const char *dir, cn_error *err)
{
    cn_names a = {NULL, 0}, b = {NULL, 0};
    cn_status status = CN_OK;
    if (s->classes.count < 2) return CN_OK;
    status = list_inside(&a, &s->classes, 0, dir, err);
    if (status == CN_OK) status = list_inside(&b, &s->classes, 1, dir, err);
    bool alike = status == CN_OK && a.count == b.count && a.count > 1;
    for (int i = 0; alike && i < a.count; i++) alike = strcmp(a.names[i], b.names[i]) == 0;
    if (alike)
        status =
            cn_remark(s->request->remarks, err,
                      "the classes %s and %s hold the same folders, %s and %s among them: where "
                      "these are the classes, name the folder above them",
                      s->classes.names[0], s->classes.names[1], a.names[0], a.names[1]);
    cn_names_free(&a);
    cn_names_free(&b);
    return status;
}

/* Images in a folder alone are one class, unless the file beside it has their labels. */
static cn_status say_table(const scan *s, const char *dir, cn_error *err)
{
    static const char *const endings[] = {".csv", ".tsv", ".txt"};
    cn_names names = {NULL, 0};
    cn_status status = s->classes.count == 1 ? cn_names_list(&names, dir, NULL, err) : CN_OK;
    for (int i = 0; status == CN_OK && i < names.count; i++)
        for (int k = 0; k < 3; k++)
            if (cn_path_ends_in(names.names[i], endings[k]))
                status = cn_remark(s->request->remarks, err,
                                   "a single class, %s: %s may have the labels: csv:PATH reads it",
                                   s->classes.names[0], names.names[i]);
    cn_names_free(&names);
    return status;
}

/* ---- The set */

/* The classes are those to train on; without any, those of the first part that there is. */
static cn_status find_classes(scan *s, const char *dir, cn_error *err)
{
    char passed[CN_PASSED_TEXT];
    int first = 0;
    while (first < CN_PARTS - 1 && !s->dirs[first][0]) first++;
    cn_status status = list_folders(&s->classes, s->dirs[first], NULL, err);
    if (status == CN_OK) status = drop_copies(s, s->dirs[first], err);
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++)
        if (s->dirs[part][0]) status = add_classes(s, part, err);
    if (status == CN_OK) status = drop_empty(s, err);
    int parts = 0; /* train, test and the like, which are no classes where there are no others */
    for (int i = 0; i < s->classes.count; i++)
        parts += cn_name_is(s->classes.names[i]) != CN_SAYS_NOTHING;
    if (status == CN_OK && parts == s->classes.count && parts > 0)
        status = cn_fail(err, CN_ERR_FORMAT,
                         "%.100s: expected a sub-folder of images for each class in %.40s%s%.40s, "
                         "found images without a class; a table (csv:PATH) may have them, or "
                         "masks may lie beside them (masks:DIR)",
                         dir, s->classes.names[0], parts > 1 ? " and " : "",
                         parts > 1 ? s->classes.names[1] : "");
    if (status == CN_OK && s->classes.count == 0)
        status = cn_fail(err, CN_ERR_FORMAT,
                         "%.100s: expected a sub-folder of images for each class, found %.120s",
                         s->dirs[first],
                         s->passed.kind_count ? cn_passed_text(&s->passed, passed) : "none");
    if (status == CN_OK) status = say_alike(s, s->dirs[first], err);
    if (status == CN_OK) status = say_table(s, dir, err);
    if (status == CN_OK) status = say_strays(s, dir, err);
    if (status == CN_OK) status = cn_passed_remark(&s->passed, s->request->remarks, err);
    return status;
}

static cn_status load(cn_dataset **data, const char *dir, const cn_request *request, cn_error *err)
{
    scan *s = cn_allocate(1, sizeof *s, "folder", err);
    if (!s) return CN_ERR_MEMORY;
    s->request = request;
    cn_status status = find_parts(s, dir, err);
    if (status == CN_OK) status = find_classes(s, dir, err);
    s->set.classes = s->classes.count;
    s->set.class_names = s->classes.names;
    if (status == CN_OK) status = cn_images_load(data, &s->set, request, dir, err);
    cn_image_set_free(&s->set);
    cn_names_free(&s->classes);
    cn_release(s);
    return status;
}

/* Is there an image below a sub-folder? */
static bool has_class(const char *dir)
{
    char path[CN_PATH_ROOM];
    cn_names classes = {NULL, 0};
    bool found = false;
    if (list_folders(&classes, dir, NULL, NULL) != CN_OK) return false;
    for (int i = 0; i < classes.count && !found; i++)
        found = cn_path_join(path, dir, classes.names[i]) && cn_names_any(path, cn_is_image_name);
    cn_names_free(&classes);
    return found;
}

static bool detects(const char *dir)
{
    bool found = false;
    scan *s = cn_allocate(1, sizeof *s, "folder", NULL);
    if (s && find_parts(s, dir, NULL) != CN_OK)
        found = true; /* loading it says what is wrong */
    else
        for (int part = 0; s && part < CN_PARTS && !found; part++)
            found = s->dirs[part][0] && has_class(s->dirs[part]);
    cn_release(s);
    return found;
}

const cn_reader cn_reader_folder = {
    .name = "folder",
    .usage = "folder:DIR",
    .detects = detects,
    .takes = CN_OPTIONS_OF_FILES,
    .load = load,
};
