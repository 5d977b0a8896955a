/*
 * csv_files.c - where a table is, and where the files are that its rows name.
 *
 *   DIR/train.csv               of a folder: train.csv or labels.csv, metadata.csv, or the only table
 *   DIR/train/metadata.csv      whose name has the word train, and whose heading tells images
 *
 *   DIR/NAME                    of a row: below the table's folder, its images, or one of the table's
 *   DIR/images/NAME             own name; else below the one sub-folder that has the first row's image
 *   DIR/train/NAME              (train_images, train-jpg, train/train)
 *   DIR/train_images/NAME
 *
 * A name may lack its ending, and a backslash may stand for a slash.
 */
#include "data/csv.h"

#include "data/images.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- The files of its rows */

static bool find_below(char path[CN_PATH_ROOM], const char *folder, const char *name)
{
    static const char *const endings[] = {"",     ".png",  ".jpg",  ".jpeg", ".PNG",
                                          ".JPG", ".JPEG", ".webp", ".tif",  ".tiff",
                                          ".bmp", ".gif",  ".pgm",  ".ppm"};
    for (int slashes = 0; slashes < 2; slashes++)
        for (size_t k = 0; k < sizeof endings / sizeof *endings; k++) {
            int length = snprintf(path, CN_PATH_ROOM, "%s%s%s", name[0] == '/' ? "" : folder, name,
                                  endings[k]);
            if (length >= CN_PATH_ROOM) continue;
            for (char *c = path; slashes && *c; c++)
                if (*c == '\\') *c = '/';
            struct stat about;
            if (stat(path, &about) == 0 && !S_ISDIR(about.st_mode)) return true;
        }
    return false;
}

/* The same below folder/inner. */
static bool find_within(char path[CN_PATH_ROOM], const char *folder, const char *inner, int length,
                        const char *name)
{
    char below[CN_PATH_ROOM];
    return snprintf(below, sizeof below, "%s%.*s/", folder, length, inner) < CN_PATH_ROOM &&
           find_below(path, below, name);
}

/* The folder of a table, with a slash at its end; "" for the present one. */
static void folder_of(char folder[CN_PATH_ROOM], const char *path)
{
    const char *slash = strrchr(path, '/');
    snprintf(folder, CN_PATH_ROOM, "%.*s", slash ? (int)(slash - path + 1) : 0, path);
}

bool cn_csv_find_file(char path[CN_PATH_ROOM], const char *table, const char *neighbor,
                      const char *root, const char *name)
{
    char folder[CN_PATH_ROOM];
    if (*root) {
        const char *last = name + strlen(name); /* what is absolute may be of another machine */
        while (last > name && last[-1] != '/' && last[-1] != '\\') last--;
        const int length = (int)strlen(root);
        return find_within(path, "", root, length, name) ||
               (*name == '/' && find_within(path, "", root, length, name + 1)) ||
               find_within(path, "", root, length, last);
    }
    folder_of(folder, table);
    const char *own = table + strlen(folder), *dot = strrchr(own, '.');
    int stem = dot ? (int)(dot - own) : (int)strlen(own);
    return find_below(path, folder, name) || find_within(path, folder, "images", 6, name) ||
           find_within(path, folder, own, stem, name) ||
           (neighbor && find_within(path, "", neighbor, (int)strlen(neighbor), name));
}

/* In a sub-folder, or in the one of its name that an archive has left there. */
static bool has_file(char sub[CN_PATH_ROOM], const char *folder, const char *inner,
                     const char *name)
{
    char path[CN_PATH_ROOM];
    int length = snprintf(sub, CN_PATH_ROOM, "%s%s", folder, inner);
    if (length >= CN_PATH_ROOM) return false;
    if (find_within(path, "", sub, length, name)) return true;
    length = snprintf(sub, CN_PATH_ROOM, "%s%s/%s", folder, inner, inner);
    return length < CN_PATH_ROOM && find_within(path, "", sub, length, name);
}

bool cn_csv_find_neighbor(char neighbor[CN_PATH_ROOM], const char *table, const char *name)
{
    char folder[CN_PATH_ROOM], sub[CN_PATH_ROOM];
    const cn_said said = cn_path_says(table), mine = said == CN_SAYS_NOTHING ? CN_SAYS_TRAIN : said;
    cn_names names = {NULL, 0};
    int found[2] = {0}; /* whose names say the table's part, and none */
    folder_of(folder, table);
    if (cn_names_list(&names, *folder ? folder : ".", NULL, NULL) != CN_OK) return false;
    for (int i = 0; i < names.count; i++) {
        const cn_said part = cn_name_says(names.names[i]);
        const bool neutral = part == CN_SAYS_NOTHING;
        if ((!neutral && part != mine) || !has_file(sub, folder, names.names[i], name)) continue;
        if (found[neutral]++ == 0 && !(neutral && found[0])) strcpy(neighbor, sub);
    }
    cn_names_free(&names);
    return found[0] == 1 || (found[0] == 0 && found[1] == 1);
}

/* ---- The table */

/* Does a heading tell images and what they show? */
static bool tells_images(const char *path)
{
    cn_table t;
    bool more = false;
    bool known =
        cn_table_open(&t, path, NULL) == CN_OK && cn_table_next(&t, &more, NULL) == CN_OK && more;
    if (known) {
        const cn_csv_columns c = cn_csv_find_columns(&t);
        known = c.image >= 0 && (c.label >= 0 || c.mask >= 0);
    }
    cn_table_close(&t);
    return known;
}

static bool is_to_train(const char *name)
{
    return cn_name_says(name) == CN_SAYS_TRAIN &&
           (cn_path_ends_in(name, ".csv") || cn_path_ends_in(name, ".tsv"));
}

bool cn_csv_find_table(char path[CN_PATH_ROOM], const char *given)
{
    static const char *const usual[] = {"train.csv",         "Train.csv",  "labels.csv",
                                        "train.tsv",         "labels.tsv", "metadata.csv",
                                        "train/metadata.csv"};
    char candidate[CN_PATH_ROOM];
    cn_names names = {NULL, 0};
    int found = 0;
    if (!cn_is_folder(given)) return snprintf(path, CN_PATH_ROOM, "%s", given) < CN_PATH_ROOM;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (cn_path_join(path, given, usual[i]) && access(path, F_OK) == 0) return true;
    if (cn_names_list(&names, given, is_to_train, NULL) != CN_OK) return false;
    for (int i = 0; i < names.count; i++)
        if (cn_path_join(candidate, given, names.names[i]) && tells_images(candidate) &&
            found++ == 0)
            strcpy(path, candidate);
    cn_names_free(&names);
    return found == 1;
}

/* DIR/train/NAME: the same name in the folder of another part. */
static bool find_in_folders(char paths[CN_PARTS][CN_PATH_ROOM], const char *path)
{
    char folder[CN_PATH_ROOM], other[CN_PATH_ROOM];
    const char *slash = strrchr(path, '/');
    if (!slash || cn_path_says(path) != CN_SAYS_NOTHING) return false;
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    const char *last = strrchr(folder, '/');
    const cn_said mine = cn_name_is(last ? last + 1 : folder);
    if (mine == CN_SAYS_NOTHING) return false;
    for (int part = 0; part < CN_PARTS; part++) {
        paths[part][0] = 0;
        if (part == (int)mine)
            snprintf(paths[part], CN_PATH_ROOM, "%s", path);
        else if (cn_path_sibling(other, folder, (cn_said)part) &&
                 !cn_path_find(paths[part], other, slash + 1))
            paths[part][0] = 0;
    }
    return true;
}

void cn_csv_find_parts(char paths[CN_PARTS][CN_PATH_ROOM], const char *path)
{
    cn_said mine = cn_path_says(path);
    if (find_in_folders(paths, path)) return;
    if (mine == CN_SAYS_NOTHING) mine = CN_SAYS_TRAIN;
    for (int part = 0; part < CN_PARTS; part++) {
        paths[part][0] = 0;
        if (part == (int)mine)
            snprintf(paths[part], CN_PATH_ROOM, "%s", path);
        else if (!cn_path_sibling(paths[part], path, (cn_said)part))
            paths[part][0] = 0;
    }
}
