/*
 * folder.c - folders of pictures, a sub-folder a class:
 *
 *   DIR/train/cat/0001.png   DIR/train/dog/a.jpg   to train on
 *   DIR/test/cat/0900.png    DIR/test/dog/b.jpg    to test on; val, valid and validation will do
 *
 * or DIR/cat and DIR/dog by themselves. Classes and pictures are in the order of the bytes of their
 * names, whatever the file system says. What is no picture by its ending is passed over.
 */
#include "data/pictures.h"

#include <string.h>
#include <sys/stat.h>

static bool is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

static cn_status too_long(const char *dir, cn_error *err)
{
    return cn_fail(err, CN_ERR_IO, "%.120s: the path is too long", dir);
}

/* The sub-folders of a folder, as classes. */
static cn_status list_classes(cn_names *classes, const char *dir, cn_error *err)
{
    char path[CN_PATH_ROOM];
    cn_names names = {NULL, 0};
    int kept = 0;
    cn_status status = cn_names_list(&names, dir, NULL, err);
    if (status != CN_OK) return status;
    for (int i = 0; i < names.count; i++) {
        char *name = names.names[i];
        if (cn_path_join(path, dir, name) && is_folder(path))
            names.names[kept++] = name;
        else
            cn_release(name);
    }
    names.count = kept;
    *classes = names;
    return CN_OK;
}

static cn_status add_pictures(cn_picture_list *list, const char *dir, int32_t label, cn_error *err)
{
    char path[CN_PATH_ROOM];
    cn_names names = {NULL, 0};
    cn_status status = cn_names_list(&names, dir, cn_is_picture_name, err);
    if (status == CN_OK && names.count == 0)
        status = cn_fail(err, CN_ERR_FORMAT,
                         "%.120s: expected pictures of a class (.png, .jpg, .jpeg, .pgm, .ppm, "
                         ".pnm), found none",
                         dir);
    for (int i = 0; status == CN_OK && i < names.count; i++)
        status = cn_path_join(path, dir, names.names[i])
                     ? cn_picture_list_add(list, path, label, err)
                     : too_long(dir, err);
    cn_names_free(&names);
    return status;
}

static int find_class(const cn_names *classes, const char *name)
{
    for (int i = 0; i < classes->count; i++)
        if (strcmp(classes->names[i], name) == 0) return i;
    return -1;
}

/* Adds the pictures below a folder, whose sub-folders are some of the classes. */
static cn_status add_classes(cn_picture_list *list, const char *dir, const cn_names *classes,
                             cn_error *err)
{
    char path[CN_PATH_ROOM];
    cn_names here = {NULL, 0};
    cn_status status = list_classes(&here, dir, err);
    for (int i = 0; status == CN_OK && i < here.count; i++) {
        int label = find_class(classes, here.names[i]);
        if (label < 0)
            status = cn_fail(err, CN_ERR_FORMAT,
                             "%.100s: %.60s is no class to train on: expected the same sub-folders",
                             dir, here.names[i]);
        else
            status = cn_path_join(path, dir, here.names[i]) ? add_pictures(list, path, label, err)
                                                            : too_long(dir, err);
    }
    cn_names_free(&here);
    return status;
}

/* DIR/train, where it is there, or DIR. */
static cn_status find_train(char train[CN_PATH_ROOM], const char *dir, cn_error *err)
{
    if (!cn_path_join(train, dir, "train")) return too_long(dir, err);
    if (!is_folder(train)) strcpy(train, dir);
    return CN_OK;
}

static bool find_test(char test[CN_PATH_ROOM], const char *dir)
{
    static const char *const names[] = {"test", "val", "valid", "validation"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (cn_path_join(test, dir, names[i]) && is_folder(test)) return true;
    return false;
}

static cn_status load(cn_dataset **data, const char *text, const cn_request *request, cn_error *err)
{
    char dir[CN_PATH_ROOM], train[CN_PATH_ROOM], test[CN_PATH_ROOM];
    cn_picture_opts opts;
    cn_picture_set set = {.classes = 0};
    cn_names classes = {NULL, 0};
    cn_status status = cn_picture_opts_read(&opts, dir, text, "folder", err);
    if (status == CN_OK) status = find_train(train, dir, err);
    if (status == CN_OK) status = list_classes(&classes, train, err);
    if (status == CN_OK && classes.count == 0)
        status =
            cn_fail(err, CN_ERR_FORMAT,
                    "%.120s: expected a sub-folder of pictures for each class, found none", train);
    if (status == CN_OK) status = add_classes(&set.train, train, &classes, err);
    if (status == CN_OK && strcmp(train, dir) != 0 && find_test(test, dir))
        status = add_classes(&set.test, test, &classes, err);
    set.classes = classes.count;
    set.class_names = classes.names;
    if (status == CN_OK) status = cn_pictures_load(data, &set, request, opts, dir, err);
    cn_picture_list_free(&set.train);
    cn_picture_list_free(&set.test);
    cn_names_free(&classes);
    return status;
}

/* A picture in a sub-folder, of the folder itself or of train. */
static bool detects(const char *dir)
{
    char train[CN_PATH_ROOM], path[CN_PATH_ROOM];
    cn_names classes = {NULL, 0};
    bool found = false;
    if (find_train(train, dir, NULL) != CN_OK || list_classes(&classes, train, NULL) != CN_OK)
        return false;
    for (int i = 0; i < classes.count && !found; i++) {
        cn_names pictures = {NULL, 0};
        found = cn_path_join(path, train, classes.names[i]) &&
                cn_names_list(&pictures, path, cn_is_picture_name, NULL) == CN_OK &&
                pictures.count > 0;
        cn_names_free(&pictures);
    }
    cn_names_free(&classes);
    return found;
}

const cn_reader cn_reader_folder = {
    .name = "folder",
    .usage = "folder:DIR",
    .detects = detects,
    .takes_options = true,
    .load = load,
};
