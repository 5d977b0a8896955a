/* spec.c - which data set a text means: "digits", "mnist:DIR", or a directory. */
#include "data/dataset.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* The kinds there are. A directory is of the first kind that detects itself in it. */
static const cn_reader *const readers[] = {
    &cn_reader_digits,  &cn_reader_mnist,    &cn_reader_idx,
    &cn_reader_cifar10, &cn_reader_cifar100, &cn_reader_hdf5,
    &cn_reader_npz,     &cn_reader_npy,      NULL,
};

/* Adds to a text of `size` bytes what still fits. */
static void append(char *text, size_t size, const char *word)
{
    size_t used = strlen(text), length = strlen(word);
    if (length > size - used - 1) length = size - used - 1;
    memcpy(text + used, word, length);
    text[used + length] = 0;
}

static void append_to_list(char *text, size_t size, const char *word)
{
    if (text[0]) append(text, size, ", ");
    append(text, size, word);
}

/* "digits, mnist:DIR, idx:DIR" */
enum { KINDS_TEXT = 128, FOUND_TEXT = 40 };
static const char *kinds(char text[KINDS_TEXT])
{
    text[0] = 0;
    for (int i = 0; readers[i]; i++) append_to_list(text, KINDS_TEXT, readers[i]->usage);
    return text;
}

/* The first names in a directory, for the message that none of them is known. */
static cn_status nothing_known(const char *path, cn_error *err)
{
    char known[KINDS_TEXT], found[FOUND_TEXT] = "";
    DIR *dir = opendir(path);
    if (!dir) return cn_fail(err, CN_ERR_IO, "%.80s: %s", path, strerror(errno));
    int names = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        if (names++ < 3) append_to_list(found, FOUND_TEXT, entry->d_name);
    }
    closedir(dir);
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%.50s: no data set recognised: found %s%s; the kinds are %s", path,
                   names ? found : "nothing", names > 3 ? ", ..." : "", kinds(known));
}

static cn_status load_directory(cn_dataset **data, const char *path, cn_split split, cn_error *err)
{
    for (int i = 0; readers[i]; i++)
        if (readers[i]->detects && readers[i]->detects(path))
            return readers[i]->load(data, path, split, err);
    return nothing_known(path, err);
}

cn_status cn_dataset_load(cn_dataset **data, const char *spec, cn_split split, cn_error *err)
{
    char known[KINDS_TEXT];
    struct stat about;
    if (!data || !spec) return cn_fail(err, CN_ERR_ARGUMENT, "dataset: NULL argument");
    if (split != CN_TRAIN && split != CN_TEST)
        return cn_fail(err, CN_ERR_ARGUMENT, "%.80s: unknown split %d", spec, (int)split);
    size_t length = strcspn(spec, ":");
    for (int i = 0; readers[i]; i++)
        if (strlen(readers[i]->name) == length && strncmp(readers[i]->name, spec, length) == 0)
            return readers[i]->load(data, spec + length + (spec[length] == ':'), split, err);
    if (stat(spec, &about) == 0 && S_ISDIR(about.st_mode))
        return load_directory(data, spec, split, err);
    return cn_fail(err, CN_ERR_ARGUMENT,
                   "%.50s: neither a directory nor a kind of data set; the kinds are %s", spec,
                   kinds(known));
}
