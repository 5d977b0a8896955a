/*
 * duplicates.c - files to train on whose bytes are also there to test or to validate on, and rows of a
 * table that name the image of another one.
 *
 * Such images make a network look better than it is. Files are compared by their sizes first; those
 * that share theirs with a file of the other side by their middle, where headers are over; and
 * what is still alike by a digest of all bytes. So in a set without duplicates next to nothing of
 * the files is read.
 */
#include "base/source.h"
#include "data/images.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct file {
    const char *path;
    int order;    /* that of the set */
    bool train;   /* else to test or to validate on */
    uint64_t key; /* different keys: different bytes */
} file;

enum { MIDDLE = 4096, BLOCK = 65536 };

/* Folds bytes into a digest, eight at a time. The multiplier is that of Knuth's generator MMIX. */
static uint64_t digest(uint64_t key, const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at < size; at += sizeof key) {
        uint64_t word = 0;
        memcpy(&word, bytes + at, size - at < sizeof word ? size - at : sizeof word);
        key = (key ^ word) * UINT64_C(6364136223846793005);
        key ^= key >> 29;
    }
    return key;
}

/* Folds bytes of a file into its key. What cannot be read has nothing in common with another file;
 * reading the image tells why. */
typedef bool folding(file *f, FILE *in, uint8_t *room);

/* The key is the file's size yet. */
static bool fold_middle(file *f, FILE *in, uint8_t *room)
{
    uint64_t from = f->key > MIDDLE ? (f->key - MIDDLE) / 2 : 0;
    if (fseek(in, (long)from, SEEK_SET) != 0) return false;
    f->key = digest(f->key, room, fread(room, 1, MIDDLE, in));
    return !ferror(in);
}

static bool fold_all(file *f, FILE *in, uint8_t *room)
{
    for (size_t got = BLOCK; got == BLOCK;) {
        got = fread(room, 1, BLOCK, in);
        f->key = digest(f->key, room, got);
    }
    return !ferror(in);
}

static int compare(const void *a, const void *b)
{
    const file *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    if (x->train != y->train) return x->train ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

/* Keeps the files whose key is that of one of the other side, sorted by keys; returns how many. */
static int keep_shared(file *files, int count)
{
    int kept = 0;
    qsort(files, (size_t)count, sizeof *files, compare);
    for (int first = 0, end; first < count; first = end) {
        for (end = first + 1; end < count && files[end].key == files[first].key;) end++;
        if (!files[first].train || files[end - 1].train) continue;
        memmove(files + kept, files + first, (size_t)(end - first) * sizeof *files);
        kept += end - first;
    }
    return kept;
}

/* The files of the set with their sizes as keys. */
static int list_files(file *files, const cn_image_set *set)
{
    int counts[CN_PARTS], n = 0, order = 0;
    for (int part = 0; part < CN_PARTS; part++) counts[part] = set->parts[part].count;
    for (int part = 0; part < CN_PARTS; part++)
        for (int i = 0; i < counts[part]; i++, order++) {
            struct stat about;
            const char *path = set->parts[part].paths[i];
            if (stat(path, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size == 0) continue;
            files[n++] = (file){.path = path,
                                .order = order,
                                .train = cn_split_takes(counts, CN_SUBSET_TRAIN, part, i),
                                .key = (uint64_t)about.st_size};
        }
    return n;
}

/* Those that are still alike when bytes have been folded into the keys. */
static int compare_bytes(file *files, int count, folding *fold, uint8_t *room)
{
    int kept = 0;
    for (int i = 0; i < count; i++) {
        FILE *in = fopen(files[i].path, "rb");
        if (!in) continue;
        if (fold(&files[i], in, room)) files[kept++] = files[i];
        fclose(in);
    }
    return keep_shared(files, kept);
}

/* Counts them, and says which is the first. */
static cn_status tell(const file *files, int count, const cn_request *request, cn_error *err)
{
    const file *train = NULL, *first = NULL, *other = NULL;
    int shared = 0;
    for (int i = 0; i < count; i++) {
        if (files[i].train && (i == 0 || files[i].key != files[i - 1].key)) train = &files[i];
        if (files[i].train) continue;
        shared++;
        if (first && first->order < files[i].order) continue;
        first = &files[i];
        other = train;
    }
    request->remarks->shared = shared;
    if (shared == 0) return CN_OK;
    return cn_remark(
        request->remarks, err,
        "%d image%s to test or validate on %s the bytes of one to train on: %s%.150s is "
        "%.150s",
        shared, cn_plural(shared), shared == 1 ? "has" : "have", shared == 1 ? "" : "the first, ",
        first->path, other->path);
}

cn_status cn_images_find_shared(const cn_image_set *set, const cn_request *request, cn_error *err)
{
    size_t count = 0;
    for (int part = 0; part < CN_PARTS; part++) count += (size_t)set->parts[part].count;
    file *files = cn_allocate(count, sizeof *files, "files in both parts", err);
    uint8_t *room = files ? cn_allocate(BLOCK, 1, "files in both parts", err) : NULL;
    cn_status status = room ? CN_OK : CN_ERR_MEMORY;
    if (status == CN_OK) {
        int shared = keep_shared(files, list_files(files, set));
        shared = compare_bytes(files, shared, fold_middle, room);
        shared = compare_bytes(files, shared, fold_all, room);
        status = tell(files, shared, request, err);
    }
    cn_release(room);
    cn_release(files);
    return status;
}

/* ---- Rows that name the same image */

static int compare_rows(const void *a, const void *b)
{
    const file *x = a, *y = b;
    int order = strcmp(x->path, y->path);
    return order ? order : (x->order > y->order) - (x->order < y->order);
}

cn_status cn_images_find_repeated(const cn_image_set *set, const cn_request *request, cn_error *err)
{
    const file *first = NULL;
    size_t count = 0;
    int n = 0, repeated = 0, other = 0;
    for (int part = 0; part < CN_PARTS; part++) count += (size_t)set->parts[part].count;
    file *files = cn_allocate(count, sizeof *files, "files of a table", err);
    if (!files) return CN_ERR_MEMORY;
    for (int part = 0; part < CN_PARTS; part++) {
        const cn_image_list *list = &set->parts[part];
        file *here = files + n;
        for (int i = 0; i < list->count; i++, n++)
            files[n] = (file){list->paths[i], n, false, (uint64_t)list->labels[i]};
        qsort(here, (size_t)list->count, sizeof *here, compare_rows);
        for (int i = 1; i < list->count; i++) {
            if (strcmp(here[i].path, here[i - 1].path) != 0) continue;
            repeated++;
            other += !set->masked && !set->targets && here[i].key != here[i - 1].key;
            if (!first || first->order > here[i].order) first = &here[i];
        }
    }
    cn_status status = CN_OK;
    if (repeated)
        status =
            cn_remark(request->remarks, err,
                      "%d row%s the image of another row, %d of them with another label: %s%.150s",
                      repeated, repeated == 1 ? " has" : "s have", other,
                      repeated == 1 ? "" : "the first, ", first->path);
    cn_release(files);
    return status;
}
