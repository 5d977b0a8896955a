/*
 * npz.c - NumPy's .npz: a ZIP archive of NPY arrays, NAME.npy each (numpy.savez and
 * numpy.savez_compressed). zip.c and npy.c have the bytes.
 */
#include "formats/array.h"
#include "formats/npy.h"
#include "formats/zip.h"

#include <string.h>

/* The member that array i is. */
typedef struct archive {
    cn_zip_member *members;
    int *index;
} archive;

static cn_status read_array(const cn_array_file *file, int i, cn_array *out, cn_error *err)
{
    const archive *a = file->handle;
    cn_source *s = NULL;
    cn_status status = cn_zip_open(&s, file->path, &a->members[a->index[i]], err);
    if (status == CN_OK) status = cn_npy_read(s, file->abouts[i].name, out, err);
    cn_source_close(s);
    return status;
}

static cn_status locate(const cn_array_file *file, int i, cn_array_place *place, bool *found,
                        cn_error *err)
{
    const archive *a = file->handle;
    cn_source *s = NULL;
    cn_status status = cn_zip_open(&s, file->path, &a->members[a->index[i]], err);
    if (status == CN_OK) status = cn_npy_locate(s, place, found, err);
    place->path = file->path;
    cn_source_close(s);
    return status;
}

/* Lists member m where it is an array of ours. */
static cn_status add_member(cn_array_file *file, archive *a, int m, cn_error *err)
{
    const char *name = a->members[m].name;
    size_t length = strlen(name);
    cn_array_about about = {.name = ""};
    cn_source *s = NULL;
    cn_error why = {CN_OK, ""};
    if (length < 5 || length - 4 >= CN_ARRAY_NAME || strcmp(name + length - 4, ".npy") != 0)
        return CN_OK;
    memcpy(about.name, name, length - 4);
    cn_status status = cn_zip_open(&s, file->path, &a->members[m], &why);
    if (status == CN_OK) status = cn_npy_header(s, &about, &why);
    cn_source_close(s);
    if (status == CN_ERR_UNSUPPORTED) {
        const char *behind = strstr(why.text, ".npy: "); /* the names of the file and the member */
        cn_array_file_pass(file, about.name, behind ? behind + 6 : why.text);
        return CN_OK;
    }
    if (status != CN_OK) return cn_fail(err, status, "%s", why.text);
    a->index[file->count] = m;
    return cn_array_file_add(file, &about, err);
}

static void close_file(cn_array_file *file)
{
    archive *a = file->handle;
    cn_release(a->members);
    cn_release(a->index);
    cn_release(a);
}

cn_status cn_npz_open(cn_array_file *out, const char *path, cn_error *err)
{
    int count = 0;
    archive *a = cn_allocate(1, sizeof *a, path, err);
    if (!a) return CN_ERR_MEMORY;
    cn_array_file file = {
        .path = path, .read = read_array, .locate = locate, .close = close_file, .handle = a};
    cn_status status = cn_zip_list(&a->members, &count, path, err);
    if (status == CN_OK) {
        a->index = cn_allocate((size_t)count + 1, sizeof *a->index, path, err);
        if (!a->index) status = CN_ERR_MEMORY;
    }
    for (int m = 0; status == CN_OK && m < count; m++) status = add_member(&file, a, m, err);
    if (status == CN_OK)
        *out = file;
    else
        cn_array_file_close(&file);
    return status;
}
