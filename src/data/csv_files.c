/*
 * csv_files.c - where a table is, and where the files are that its rows name.
 *
 *   DIR/train.csv               of a folder: train.csv, labels.csv or metadata.csv (in train also
 *   DIR/train/metadata.csv      _classes.csv, of several labels), or else the only table whose name
 *                               has the word train, or no word for a part, and whose first image
 *                               is there
 *
 *   DIR/NAME                    of a row: below the table's folder, its images, or one of the table's
 *   DIR/images/NAME             own name; else below the one sub-folder that has it (train_images,
 *   DIR/train/NAME              train/train, images_001/images), where the row before had it first
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

/* In a sub-folder, in its images, or in the one of its name that an archive has left there. */
static bool has_file(char sub[CN_PATH_ROOM], const char *folder, const char *inner,
                     const char *name)
{
    char path[CN_PATH_ROOM];
    const char *const deeper[] = {"", "images", inner};
    for (int i = 0; i < 3; i++) {
        int length =
            snprintf(sub, CN_PATH_ROOM, "%s%s%s%s", folder, inner, i ? "/" : "", deeper[i]);
        if (length < CN_PATH_ROOM && find_within(path, "", sub, length, name)) return true;
    }
    return false;
}

/* The sub-folder of the table's folder that has the file and is not of another part than the table,
 * where there is one alone; one of the table's part is before others. */
static bool find_neighbor(char neighbor[CN_PATH_ROOM], const char *table, const char *folder,
                          const char *name)
{
    char sub[CN_PATH_ROOM];
    const cn_said said = cn_path_says(table), mine = said == CN_SAYS_NOTHING ? CN_SAYS_TRAIN : said;
    cn_names names = {NULL, 0};
    int found[2] = {0}; /* of the table's part, and of none */
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

bool cn_csv_find_file(char path[CN_PATH_ROOM], const char *table, char neighbor[CN_PATH_ROOM],
                      const char *root, const char *name)
{
    char folder[CN_PATH_ROOM], found[CN_PATH_ROOM];
    if (*root) {
        const int length = (int)strlen(root);
        const char *last = name + strlen(name); /* what is absolute may be of another machine */
        while (last > name && last[-1] != '/' && last[-1] != '\\') last--;
        return find_within(path, "", root, length, name) ||
               (*name == '/' && find_within(path, "", root, length, name + 1)) ||
               find_within(path, "", root, length, last);
    }
    folder_of(folder, table);
    const char *own = table + strlen(folder), *dot = strrchr(own, '.');
    int stem = dot ? (int)(dot - own) : (int)strlen(own);
    if (find_below(path, folder, name) || find_within(path, folder, "images", 6, name) ||
        find_within(path, folder, own, stem, name) ||
        (*neighbor && find_within(path, "", neighbor, (int)strlen(neighbor), name)))
        return true;
    if (*name == '/' || !find_neighbor(found, table, folder, name)) return false;
    strcpy(neighbor, found);
    return find_within(path, "", neighbor, (int)strlen(neighbor), name);
}

/* ---- The table */

/* Does a table have images, the first of which is there, and columns that say what they show? */
static bool has_images(const char *table)
{
    char path[CN_PATH_ROOM], neighbor[CN_PATH_ROOM] = "";
    cn_table t;
    bool more = false, known = cn_table_open(&t, table, NULL) == CN_OK &&
                               cn_table_next(&t, &more, NULL) == CN_OK && more;
    if (known) {
        const cn_csv_columns c = cn_csv_find_columns(&t);
        known = c.image >= 0 && t.count > 1 && cn_table_next(&t, &more, NULL) == CN_OK && more &&
                c.image < t.count && cn_csv_find_file(path, table, neighbor, "", t.fields[c.image]);
    }
    cn_table_close(&t);
    return known;
}

static bool is_table(const char *name)
{
    return cn_path_ends_in(name, ".csv") || cn_path_ends_in(name, ".tsv");
}

/* The only table of images that says train, or else none of the parts, where no folder does either. */
static bool find_only_table(char path[CN_PATH_ROOM], const char *dir)
{
    char candidate[CN_PATH_ROOM];
    cn_names names = {NULL, 0};
    int found[2] = {0};
    bool parted = false;
    if (cn_names_list(&names, dir, NULL, NULL) != CN_OK) return false;
    for (int i = 0; i < names.count; i++) {
        const cn_said part = cn_name_says(names.names[i]);
        const bool neutral = part == CN_SAYS_NOTHING, table = is_table(names.names[i]);
        parted = parted || (!neutral && !table);
        if (!table || (!neutral && part != CN_SAYS_TRAIN) ||
            !cn_path_join(candidate, dir, names.names[i]) || !has_images(candidate))
            continue;
        if (found[neutral]++ == 0 && !(neutral && found[0])) strcpy(path, candidate);
    }
    cn_names_free(&names);
    return found[0] == 1 || (found[0] == 0 && found[1] == 1 && !parted);
}

bool cn_csv_find_table(char path[CN_PATH_ROOM], const char *given)
{
    static const char *const usual[] = {
        "train.csv",    "Train.csv",          "labels.csv",     "train.tsv",           "labels.tsv",
        "metadata.csv", "train/metadata.csv", "metadata.jsonl", "train/metadata.jsonl"};
    if (!cn_is_folder(given)) return snprintf(path, CN_PATH_ROOM, "%s", given) < CN_PATH_ROOM;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (cn_path_join(path, given, usual[i]) && access(path, F_OK) == 0) return true;
    /* Beside masks such a table has their values. */
    if (cn_path_join(path, given, "train/_classes.csv") && has_images(path)) return true;
    return find_only_table(path, given);
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
