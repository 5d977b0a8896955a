/* paths.c - finds and lists the files of a data set. */
#include "data/paths.h"
#include "base/source.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool cn_path_join(char path[CN_PATH_ROOM], const char *dir, const char *name)
{
    int length = snprintf(path, CN_PATH_ROOM, "%s/%s", dir, name);
    return length > 0 && length < CN_PATH_ROOM;
}

bool cn_is_folder(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

bool cn_is_litter(const char *name)
{
    static const char *const litter[] = {"Thumbs.db", "ehthumbs.db", "desktop.ini",
                                         "__MACOSX",  "@eaDir",      "$RECYCLE.BIN"};
    for (size_t i = 0; i < sizeof litter / sizeof *litter; i++)
        if (cn_same_letters(name, litter[i])) return true;
    return name[0] == '.';
}

size_t cn_path_unpacked(const char *path)
{
    size_t length = strlen(path);
    bool packed = length > 3 && (cn_same_letters(path + length - 3, ".gz") ||
                                 cn_same_letters(path + length - 3, ".xz"));
    return packed ? length - 3 : length;
}

bool cn_path_ends_in(const char *path, const char *ending)
{
    char tail[16];
    size_t length = cn_path_unpacked(path), size = strlen(ending);
    if (length <= size || size >= sizeof tail) return false;
    memcpy(tail, path + length - size, size);
    tail[size] = 0;
    return cn_same_letters(tail, ending);
}

bool cn_path_find(char path[CN_PATH_ROOM], const char *dir, const char *name)
{
    static const char *const endings[] = {"", ".gz", ".xz"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        int length = snprintf(path, CN_PATH_ROOM, "%s/%s%s", dir, name, endings[i]);
        if (length < 1 || length >= CN_PATH_ROOM) continue;
        if (cn_is_folder(path))
            snprintf(path + length, (size_t)(CN_PATH_ROOM - length), "/%s%s", name, endings[i]);
        if (access(path, F_OK) == 0) return true;
    }
    return false;
}

const char *cn_spec_options(const char *spec)
{
    /* These are a folder and a file, so that slashes may follow. */
    const char *root = strstr(spec, ",root="), *colors = strstr(spec, ",colors=");
    const char *options = root ? root : spec + strlen(spec);
    if (colors && colors < options) options = colors;
    bool equals = false;
    for (const char *at = options; at > spec + 1 && *--at != '/';) {
        if (*at == '=') equals = true;
        if (*at != ',') continue;
        if (!equals) break;
        options = at;
        equals = false;
    }
    return options;
}

/* ---- Words for the parts of a set */

/* By cn_said; of words that begin alike the longest comes first. */
enum { WORDS = 5 };
static const char *const words[CN_SAYS_NOTHING][WORDS] = {
    {"training", "train"},
    {"testing", "test"},
    {"validation", "valid", "val", "dev", "eval"},
};

static bool is_letter(char c)
{
    return cn_lower(c) >= 'a' && cn_lower(c) <= 'z';
}

/* Does the text begin with this word of small letters? */
static bool begins_with(const char *text, const char *word)
{
    while (*word && cn_lower(*text) == *word) text++, word++;
    return !*word;
}

/* An x or y that stands before or behind a word, as in Xval: the letter on its far side is `far`.
 */
static bool is_axis(char c, char far)
{
    return (cn_lower(c) == 'x' || cn_lower(c) == 'y') && !is_letter(far);
}

/* Words may be part of others (latest, interval): they begin behind what is no letter, at a capital
 * one, or behind an x or y (xtest). */
static bool begins_word(const char *name, const char *at)
{
    char before = at > name ? at[-1] : 0, earlier = at > name + 1 ? at[-2] : 0;
    bool capital = at[0] != cn_lower(at[0]) && before == cn_lower(before);
    return !is_letter(before) || capital || is_axis(before, earlier);
}

/* The words for validation have to end, too (values). */
static bool ends_word(const char *at, size_t length)
{
    char after = at[length], later = after ? at[length + 1] : 0;
    bool capital = after != cn_lower(after) && at[length - 1] == cn_lower(at[length - 1]);
    return !is_letter(after) || capital || is_axis(after, later);
}

/* Where a word for this part stands in the name, and its length; NULL for nowhere. */
static const char *find_word(const char *name, cn_said part, size_t *length)
{
    for (const char *at = name; *at; at++)
        for (int i = 0; i < WORDS && words[part][i]; i++) {
            *length = strlen(words[part][i]);
            if (begins_with(at, words[part][i]) && begins_word(name, at) &&
                (part != CN_SAYS_VALIDATION || ends_word(at, *length)))
                return at;
        }
    return NULL;
}

cn_said cn_name_says(const char *name)
{
    size_t length;
    for (cn_said part = CN_SAYS_TRAIN; part < CN_SAYS_NOTHING; part++)
        if (find_word(name, part, &length)) return part;
    return CN_SAYS_NOTHING;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

cn_said cn_path_says(const char *path)
{
    return cn_name_says(last_part(path));
}

cn_said cn_name_is(const char *name)
{
    for (int part = 0; part < CN_SAYS_NOTHING; part++)
        for (int i = 0; i < WORDS && words[part][i]; i++)
            if (begins_with(name, words[part][i]) && !name[strlen(words[part][i])])
                return (cn_said)part;
    return CN_SAYS_NOTHING;
}

/* `word` in the letters' case of the `length` characters at `like`: Train, Test; TRAIN, TEST. */
static void write_like(char out[16], const char *word, const char *like, size_t length)
{
    bool first = like[0] != cn_lower(like[0]);
    bool rest = length > 1 && like[1] != cn_lower(like[1]);
    size_t i = 0;
    for (; word[i]; i++) out[i] = (i ? rest : first) ? (char)(word[i] - 'a' + 'A') : word[i];
    out[i] = 0;
}

bool cn_path_sibling(char sibling[CN_PATH_ROOM], const char *path, cn_said wanted)
{
    char word[16];
    size_t length = 0;
    cn_said mine = cn_path_says(path);
    if (mine == CN_SAYS_NOTHING || mine == wanted) return false;
    const char *at = find_word(last_part(path), mine, &length);
    for (int i = 0; i < WORDS && words[wanted][i]; i++) {
        write_like(word, words[wanted][i], at, length);
        int used =
            snprintf(sibling, CN_PATH_ROOM, "%.*s%s%s", (int)(at - path), path, word, at + length);
        if (used > 0 && used < CN_PATH_ROOM && access(sibling, F_OK) == 0) return true;
    }
    return false;
}

bool cn_name_has(const char *name, const char *word)
{
    for (const char *at = name; *at; at++) {
        size_t n = 0;
        bool capital = at > name && *at != cn_lower(*at) && at[-1] == cn_lower(at[-1]);
        if (at > name && cn_is_word(at[-1]) && !capital) continue;
        while (word[n] && cn_lower(at[n]) == cn_lower(word[n])) n++;
        if (!word[n] && !cn_is_word(at[n])) return true;
    }
    return false;
}

bool cn_name_has_any(const char *name, const char *const *list)
{
    while (*list && !cn_name_has(name, *list)) list++;
    return *list;
}

/* ---- Lists */

char *cn_name_copy(const char *name, cn_error *err)
{
    const size_t size = strlen(name) + 1;
    char *copy = malloc(size);
    if (!copy)
        (void)cn_fail(err, CN_ERR_MEMORY, "file names: %zu bytes could not be allocated", size);
    return copy ? memcpy(copy, name, size) : NULL;
}

cn_status cn_array_grow(void *array, size_t size, int count, int *room, const char *what,
                        cn_error *err)
{
    enum { MOST = 1 << 28 }; /* the room, doubled, must stay an int */
    void *old;
    if (count < *room) return CN_OK;
    if (count >= MOST)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%.120s: more than %d", what, (int)MOST);
    const int more = *room ? 2 * *room : 64;
    void *larger = cn_allocate((size_t)more, size, what, err);
    if (!larger) return CN_ERR_MEMORY;
    memcpy(&old, array, sizeof old);
    if (count) memcpy(larger, old, (size_t)count * size);
    cn_release(old);
    memcpy(array, &larger, sizeof larger);
    *room = more;
    return CN_OK;
}

/* Adds a copy of a name; *room is how many the list has room for. */
static cn_status add(cn_names *list, int *room, const char *name, cn_error *err)
{
    cn_status status =
        cn_array_grow(&list->names, sizeof *list->names, list->count, room, "file names", err);
    char *copy = status == CN_OK ? cn_name_copy(name, err) : NULL;
    if (!copy) return status == CN_OK ? CN_ERR_MEMORY : status;
    list->names[list->count++] = copy;
    return CN_OK;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

cn_status cn_names_list(cn_names *out, const char *path, bool (*wanted)(const char *name),
                        cn_error *err)
{
    cn_names list = {NULL, 0};
    int room = 0;
    cn_status status = CN_OK;
    DIR *dir = opendir(path);
    if (!dir) return cn_fail(err, CN_ERR_IO, "%.120s: %s", path, cn_system_text(errno));
    for (struct dirent *entry; status == CN_OK && (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.' || (wanted && !wanted(entry->d_name))) continue;
        status = add(&list, &room, entry->d_name, err);
    }
    closedir(dir);
    if (status != CN_OK) {
        cn_names_free(&list);
        return status;
    }
    if (list.count) qsort(list.names, (size_t)list.count, sizeof *list.names, compare);
    *out = list;
    return CN_OK;
}

cn_status cn_lines_read(cn_names *lines, const char *path, cn_error *err)
{
    enum { MOST_BYTES = 1 << 28 };
    uint8_t *bytes = NULL;
    size_t size = 0;
    cn_status status = cn_file_read(path, MOST_BYTES, NULL, &bytes, &size, err);
    if (status != CN_OK) return status;
    const size_t most = size / 2 + 1;
    lines->count = 0;
    lines->names = cn_allocate(most * sizeof *lines->names + size + 1, 1, path, err);
    if (!lines->names) {
        status = CN_ERR_MEMORY;
    } else if (memchr(bytes, 0, size)) {
        status = cn_fail(err, CN_ERR_FORMAT, "%.120s: expected text, found a byte of 0", path);
    } else {
        char *line = memcpy(lines->names + most, bytes, size);
        line[size] = 0;
        while (*(line += strspn(line, "\r\n"))) {
            lines->names[lines->count++] = line;
            line += strcspn(line, "\r\n");
            if (*line) *line++ = 0;
        }
    }
    cn_release(bytes);
    return status;
}

void cn_names_free(cn_names *list)
{
    for (int i = 0; i < list->count; i++) cn_release(list->names[i]);
    cn_release(list->names);
    *list = (cn_names){NULL, 0};
}
