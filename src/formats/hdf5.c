/*
 * hdf5.c - the arrays of an HDF5 file (HDF5 File Format Specification 3.0), through libhdf5, read, and
 * arrays of weights, written.
 *
 * An array is a dataset of integers, floats, truth values or strings of rank 1 to 4; in a group its
 * name is "train/images". What else there is (compound types, links to other files) is passed
 * over. A dataset "list_classes" gives the classes: strings are their names, of anything else the
 * number counts.
 *
 * libhdf5 reports its errors on stderr and by an exit handler unless it is told not to: here they
 * become texts of ours. A dataset whose values lie in other files, or that claims to be larger than
 * what is stored of it can hold, is refused.
 */
#include "formats/array.h"

#include "base/signature.h"
#include "base/source.h"
#include "formats/hdf5_weights.h"

#ifdef CONVNET_HAVE_HDF5

#include <hdf5.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Deflate, the densest of the usual filters, holds 1,032 bytes in one. */
enum { FILTER_RATIO = 1032 };

/* ---- Errors: kept off stderr while we are in the library */

typedef struct silence {
    H5E_auto2_t report;
    void *data;
} silence;

static silence be_silent(void)
{
    silence s = {NULL, NULL};
    H5dont_atexit(); /* fails where somebody was here before, who has then decided */
    H5Eget_auto2(H5E_DEFAULT, &s.report, &s.data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    return s;
}

static void end_silence(silence s)
{
    H5Eclear2(H5E_DEFAULT);
    H5Eset_auto2(H5E_DEFAULT, s.report, s.data);
}

/* The deepest function's words. Whatever libhdf5 is called for next forgets them. */
static herr_t take_words(unsigned n, const H5E_error2_t *entry, void *text)
{
    if (n == 0 && entry->desc) strncat(text, entry->desc, 80);
    return 0;
}

static cn_status failed(const char *path, const char *what, cn_error *err)
{
    char words[96] = "";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_words, words);
    return cn_fail(err, CN_ERR_FORMAT, "%.100s: HDF5: %.60s cannot be read: %s", path, what,
                   words[0] ? words : "for reasons unknown");
}

/* ---- What there is */

/* Strings of any length get room for so many bytes, with the zero at their end. */
enum { VARYING = 256 };

/* The element that values of this type become; false for what is none. */
static bool find_element(hid_t type, cn_array_about *about)
{
    size_t size = H5Tget_size(type);
    cn_element *element = &about->element;
    H5T_class_t kind = H5Tget_class(type);
    if (kind == H5T_FLOAT) *element = size > sizeof(float) ? CN_ELEMENT_F64 : CN_ELEMENT_F32;
    if (kind == H5T_STRING) {
        *element = CN_ELEMENT_TEXT;
        about->width = H5Tis_variable_str(type) > 0 ? VARYING : size;
        return about->width <= CN_TEXT_MOST;
    }
    if (kind == H5T_ENUM) { /* h5py's truth values: FALSE and TRUE, of a byte */
        hid_t whole = H5Tget_super(type);
        bool numbers = whole >= 0 && H5Tget_class(whole) == H5T_INTEGER;
        if (whole >= 0) H5Tclose(whole);
        *element = size == 1 ? CN_ELEMENT_U8 : CN_ELEMENT_I32;
        return numbers && size <= 4;
    }
    if (kind == H5T_INTEGER) {
        bool positive = H5Tget_sign(type) == H5T_SGN_NONE;
        *element = positive && size == 1    ? CN_ELEMENT_U8
                   : positive && size == 2  ? CN_ELEMENT_U16
                   : size < 4               ? CN_ELEMENT_I32
                   : size == 4 && !positive ? CN_ELEMENT_I32
                                            : CN_ELEMENT_I64;
    }
    return kind == H5T_FLOAT || kind == H5T_INTEGER;
}

static bool find_shape(hid_t dataset, cn_array_about *about)
{
    hsize_t extents[CN_MAX_RANK];
    hid_t space = H5Dget_space(dataset);
    int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    bool fits =
        rank >= 1 && rank <= CN_MAX_RANK && H5Sget_simple_extent_dims(space, extents, NULL) == rank;
    for (int i = 0; fits && i < rank; i++) {
        fits = extents[i] >= 1 && extents[i] <= INT32_MAX;
        about->shape[i] = fits ? (int)extents[i] : 0;
    }
    about->rank = rank;
    if (space >= 0) H5Sclose(space);
    return fits;
}

/* What a type is called that is none of ours. */
static const char *class_text(H5T_class_t kind)
{
    switch (kind) {
    case H5T_STRING: return "strings that are long, none, or of more than 4 axes";
    case H5T_COMPOUND: return "records";
    case H5T_VLEN: return "rows of different lengths";
    case H5T_BITFIELD: return "bit fields";
    case H5T_INTEGER:
    case H5T_FLOAT:
    case H5T_ENUM: return "an empty shape, or one of more than 4 axes";
    default: return "values of another type";
    }
}

/* Describes an opened dataset; false, and why, where it is none of ours. */
static bool describe(hid_t dataset, cn_array_about *about, char why[96])
{
    hid_t type = H5Dget_type(dataset);
    bool ours = type >= 0 && find_element(type, about) && find_shape(dataset, about);
    why[0] = 0;
    if (type < 0)
        H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_words, why);
    else if (!ours)
        snprintf(why, 96, "%s", class_text(H5Tget_class(type)));
    if (type >= 0) H5Tclose(type);
    return ours;
}

typedef struct listing {
    cn_array_file *file;
    cn_error *err;
    cn_status status;
} listing;

/* Of every link below the root, also in groups. */
static herr_t list_link(hid_t root, const char *name, const H5L_info_t *info, void *user)
{
    listing *l = user;
    cn_array_about about = {.name = ""};
    char why[96] = "";
    if (info->type != H5L_TYPE_HARD) return 0;
    hid_t object = H5Oopen(root, name, H5P_DEFAULT);
    H5I_type_t kind = object >= 0 ? H5Iget_type(object) : H5I_BADID;
    bool ours = false, named = strlen(name) < CN_ARRAY_NAME;
    if (object < 0)
        H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_words, why);
    else if (kind == H5I_DATASET && !named)
        snprintf(why, sizeof why, "a name of more than %d letters", CN_ARRAY_NAME - 1);
    else if (kind == H5I_DATASET)
        ours = describe(object, &about, why);
    if (object >= 0) H5Oclose(object);
    if (!ours) {
        if (why[0]) cn_array_file_pass(l->file, name, why);
        return 0;
    }
    strcpy(about.name, name);
    l->status = cn_array_file_add(l->file, &about, l->err);
    return l->status == CN_OK ? 0 : -1;
}

/* ---- Classes */

/* The strings of a dataset, each of `size` bytes at most, zero or not at its end. */
static cn_status copy_names(cn_array_file *file, const char *texts, size_t size, cn_error *err)
{
    file->class_names = cn_allocate((size_t)file->classes, sizeof(char *), file->path, err);
    if (!file->class_names) return CN_ERR_MEMORY;
    for (int i = 0; i < file->classes; i++, texts += size) {
        const char *end = memchr(texts, 0, size);
        size_t length = end ? (size_t)(end - texts) : size;
        file->class_names[i] = cn_allocate(length + 1, 1, file->path, err);
        if (!file->class_names[i]) return CN_ERR_MEMORY;
        memcpy(file->class_names[i], texts, length);
    }
    return CN_OK;
}

/* Strings of no fixed length are pointers, which are copied by hand. Longer ones than the room are
 * cut where they may be, or an error. */
static cn_status copy_pointers(char *texts, char *const *pointers, size_t count, size_t width,
                               bool cut, const char *path, const char *what, cn_error *err)
{
    for (size_t i = 0; i < count; i++) {
        size_t length = pointers[i] ? strlen(pointers[i]) : 0;
        if (length >= width && !cut)
            return cn_fail(err, CN_ERR_UNSUPPORTED,
                           "%.120s: %s: text %zu has %zu bytes, expected at most %zu", path, what,
                           i, length, width - 1);
        /* The texts are zeros so far, so one that is cut ends, too. */
        if (pointers[i])
            memcpy(texts + i * width, pointers[i], length < width ? length + 1 : width - 1);
    }
    return CN_OK;
}

/* The strings of a dataset, `count` of them, each `width` bytes at `texts`, which are zeros: libhdf5
 * brings those of fixed length into others, and cuts them. */
static cn_status read_texts(hid_t dataset, char *texts, size_t count, size_t width, bool cut,
                            const char *path, const char *what, cn_error *err)
{
    hid_t stored = H5Dget_type(dataset), type = H5Tcopy(H5T_C_S1);
    bool varying = H5Tis_variable_str(stored) > 0;
    char **pointers = varying ? cn_allocate(count, sizeof *pointers, path, err) : NULL;
    cn_status status = varying && !pointers ? CN_ERR_MEMORY : CN_OK;
    H5Tset_size(type, varying ? H5T_VARIABLE : width);
    H5Tset_strpad(type, varying ? H5T_STR_NULLTERM : H5T_STR_NULLPAD);
    H5Tset_cset(type, H5Tget_cset(stored));
    if (status == CN_OK && H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT,
                                   varying ? (void *)pointers : texts) < 0) {
        status = failed(path, what, err);
    } else if (status == CN_OK && varying) {
        hid_t space = H5Dget_space(dataset);
        status = copy_pointers(texts, pointers, count, width, cut, path, what, err);
        H5Dvlen_reclaim(type, space, H5P_DEFAULT, pointers);
        H5Sclose(space);
    }
    H5Tclose(type);
    H5Tclose(stored);
    cn_release(pointers);
    return status;
}

/* Longer names are cut. */
static cn_status read_names(cn_array_file *file, hid_t dataset, cn_error *err)
{
    enum { NAME = 64 };
    size_t count = (size_t)file->classes;
    char *texts = cn_allocate(count, NAME, file->path, err);
    if (!texts) return CN_ERR_MEMORY;
    cn_status status =
        read_texts(dataset, texts, count, NAME, true, file->path, "list_classes", err);
    if (status == CN_OK) status = copy_names(file, texts, NAME, err);
    cn_release(texts);
    return status;
}

static cn_status read_classes(cn_array_file *file, hid_t root, cn_error *err)
{
    enum { MOST_CLASSES = 65536 };
    cn_array_about about;
    cn_status status = CN_OK;
    if (H5Lexists(root, "list_classes", H5P_DEFAULT) <= 0) return CN_OK;
    hid_t dataset = H5Dopen2(root, "list_classes", H5P_DEFAULT);
    if (dataset < 0) return failed(file->path, "list_classes", err);
    hid_t type = H5Dget_type(dataset);
    if (find_shape(dataset, &about) && about.rank == 1 && about.shape[0] <= MOST_CLASSES) {
        file->classes = about.shape[0];
        if (H5Tget_class(type) == H5T_STRING) status = read_names(file, dataset, err);
    } else {
        status = cn_fail(err, CN_ERR_FORMAT,
                         "%.120s: list_classes: expected rank 1 and at most %d "
                         "classes",
                         file->path, MOST_CLASSES);
    }
    H5Tclose(type);
    H5Dclose(dataset);
    return status;
}

/* ---- Reading */

/* Nothing is allocated for more than the file can hold, and nothing comes from other files. */
static cn_status check_storage(const cn_array_file *file, hid_t dataset,
                               const cn_array_about *about, cn_error *err)
{
    size_t count, bytes = SIZE_MAX, most;
    hsize_t size = 0, stored = H5Dget_storage_size(dataset);
    hid_t plan = H5Dget_create_plist(dataset);
    bool elsewhere = H5Pget_layout(plan) == H5D_VIRTUAL || H5Pget_external_count(plan) > 0;
    bool filtered = H5Pget_nfilters(plan) > 0;
    H5Pclose(plan);
    if (elsewhere)
        return cn_fail(err, CN_ERR_UNSUPPORTED, "%.120s: %s: its values lie in other files",
                       file->path, about->name);
    H5Fget_filesize(*(const hid_t *)file->handle, &size);
    if (stored > size) stored = size;
    most = stored > SIZE_MAX / FILTER_RATIO ? SIZE_MAX
                                            : (size_t)stored * (filtered ? FILTER_RATIO : 1);
    if (cn_array_count(about, &count)) bytes = count * cn_array_element_size(about);
    char shape[CN_SHAPE_TEXT];
    hid_t type = H5Dget_type(dataset);
    size_t wide = H5Tget_size(type); /* as stored, which may be less than in memory */
    H5Tclose(type);
    if (bytes == SIZE_MAX || count > most / wide)
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.100s: %s: expected %s elements of %zu bytes, found at most %zu bytes",
                       file->path, about->name, cn_shape_text(about->rank, about->shape, shape),
                       wide, most);
    return CN_OK;
}

static hid_t memory_type(cn_element element)
{
    switch (element) {
    case CN_ELEMENT_U8: return H5T_NATIVE_UINT8;
    case CN_ELEMENT_U16: return H5T_NATIVE_UINT16;
    case CN_ELEMENT_I32: return H5T_NATIVE_INT32;
    case CN_ELEMENT_I64: return H5T_NATIVE_INT64;
    case CN_ELEMENT_F32: return H5T_NATIVE_FLOAT;
    case CN_ELEMENT_F64: return H5T_NATIVE_DOUBLE;
    default: return -1; /* find_element gives none of the others */
    }
}

/* Values that cannot be read: where a filter is missing that has packed them, by its name. */
static cn_status unread(const cn_array_file *file, hid_t dataset, const char *name, cn_error *err)
{
    char filter[32] = "";
    hid_t plan = H5Dget_create_plist(dataset);
    int i = 0, count = H5Pget_nfilters(plan);
    for (; i < count; i++) {
        size_t none = 0;
        H5Z_filter_t id =
            H5Pget_filter2(plan, (unsigned)i, NULL, &none, NULL, sizeof filter, filter, NULL);
        if (id >= 0 && H5Zfilter_avail(id) <= 0) break;
    }
    H5Pclose(plan);
    if (i >= count) return failed(file->path, name, err);
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%.100s: %.60s is packed with the filter \"%.32s\", which this libhdf5 does not "
                   "have; gzip is read",
                   file->path, name, filter);
}

static cn_status read_array(const cn_array_file *file, int i, cn_array *out, cn_error *err)
{
    const cn_array_about *about = &file->abouts[i];
    size_t count;
    void *data = NULL;
    silence s = be_silent();
    hid_t dataset = H5Dopen2(*(const hid_t *)file->handle, about->name, H5P_DEFAULT);
    cn_status status = dataset >= 0 ? check_storage(file, dataset, about, err)
                                    : failed(file->path, about->name, err);
    if (status == CN_OK && cn_array_count(about, &count)) {
        data = cn_allocate(count, cn_array_element_size(about), file->path, err);
        if (!data) status = CN_ERR_MEMORY;
    }
    if (status == CN_OK && about->element == CN_ELEMENT_TEXT)
        status =
            read_texts(dataset, data, count, about->width, false, file->path, about->name, err);
    else if (status == CN_OK &&
             H5Dread(dataset, memory_type(about->element), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        status = unread(file, dataset, about->name, err);
    if (dataset >= 0) H5Dclose(dataset);
    end_silence(s);
    if (status == CN_OK)
        *out = (cn_array){*about, data};
    else
        cn_release(data);
    return status;
}

/* The element that is stored so; false for what is none of them. */
static bool find_stored(hid_t type, cn_array_place *place)
{
    const struct {
        cn_element element;
        hid_t little, big;
    } types[] = {{CN_ELEMENT_U8, H5T_STD_U8LE, H5T_STD_U8BE},
                 {CN_ELEMENT_I8, H5T_STD_I8LE, H5T_STD_I8BE},
                 {CN_ELEMENT_U16, H5T_STD_U16LE, H5T_STD_U16BE},
                 {CN_ELEMENT_I16, H5T_STD_I16LE, H5T_STD_I16BE},
                 {CN_ELEMENT_U32, H5T_STD_U32LE, H5T_STD_U32BE},
                 {CN_ELEMENT_I32, H5T_STD_I32LE, H5T_STD_I32BE},
                 {CN_ELEMENT_I64, H5T_STD_I64LE, H5T_STD_I64BE},
                 {CN_ELEMENT_F32, H5T_IEEE_F32LE, H5T_IEEE_F32BE},
                 {CN_ELEMENT_F64, H5T_IEEE_F64LE, H5T_IEEE_F64BE}};
    bool big = H5Tget_order(H5T_NATIVE_INT) == H5T_ORDER_BE;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        bool little = H5Tequal(type, types[i].little) > 0;
        if (!little && H5Tequal(type, types[i].big) <= 0) continue;
        place->element = types[i].element;
        place->swapped = cn_array_element_size(&(cn_array_about){.element = place->element}) > 1 &&
                         little == big;
        return true;
    }
    return false;
}

/* Contiguous storage is C order from one byte on. */
static bool find_offset(hid_t dataset, cn_array_place *place)
{
    hid_t plan = H5Dget_create_plist(dataset);
    bool plain = H5Pget_layout(plan) == H5D_CONTIGUOUS;
    haddr_t offset = plain ? H5Dget_offset(dataset) : HADDR_UNDEF;
    H5Pclose(plan);
    place->offset = (size_t)offset;
    return offset != HADDR_UNDEF && offset <= SIZE_MAX / 2;
}

static cn_status locate(const cn_array_file *file, int i, cn_array_place *place, bool *found,
                        cn_error *err)
{
    const cn_array_about *about = &file->abouts[i];
    silence s = be_silent();
    hid_t dataset = H5Dopen2(*(const hid_t *)file->handle, about->name, H5P_DEFAULT);
    cn_status status = dataset >= 0 ? check_storage(file, dataset, about, err)
                                    : failed(file->path, about->name, err);
    *found = false;
    place->path = file->path;
    if (status == CN_OK) {
        hid_t type = H5Dget_type(dataset);
        *found = find_stored(type, place) && find_offset(dataset, place);
        H5Tclose(type);
    }
    if (dataset >= 0) H5Dclose(dataset);
    end_silence(s);
    return status;
}

static void close_file(cn_array_file *file)
{
    silence s = be_silent();
    H5Fclose(*(hid_t *)file->handle);
    end_silence(s);
    cn_release(file->handle);
}

cn_status cn_hdf5_open(cn_array_file *out, const char *path, cn_error *err)
{
    struct stat about;
    int readable = -1;
    cn_status status = cn_file_open(&readable, &about, path, err);
    if (status != CN_OK) return status;
    close(readable);
    cn_array_file file = {.path = path, .read = read_array, .locate = locate};
    listing l = {&file, err, CN_OK};
    hid_t *handle = cn_allocate(1, sizeof *handle, path, err);
    if (!handle) return CN_ERR_MEMORY;
    silence s = be_silent();
    hid_t plan = H5Pcreate(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(plan, false, true); /* many a network file system has no locks */
#endif
    *handle = H5Fopen(path, H5F_ACC_RDONLY, plan);
    const cn_signature *other = *handle >= 0 ? NULL : cn_signature_of_file(path);
    if (other && strcmp(other->name, "an HDF5 file") != 0)
        status = cn_fail(err, CN_ERR_FORMAT, "%.120s: not an HDF5 file (%s)", path, other->name);
    else if (*handle < 0)
        status = failed(path, "the file", err);
    H5Pclose(plan);
    if (status == CN_OK) {
        file.handle = handle;
        file.close = close_file;
        if (H5Lvisit(*handle, H5_INDEX_NAME, H5_ITER_INC, list_link, &l) < 0)
            status = l.status != CN_OK ? l.status : failed(path, "the list of arrays", err);
    }
    if (status == CN_OK) status = read_classes(&file, *handle, err);
    end_silence(s);
    if (!file.handle) cn_release(handle);
    if (status == CN_OK)
        *out = file;
    else
        cn_array_file_close(&file);
    return status;
}

/* ---- Writing, into memory */

static bool write_array(hid_t file, const cn_named_tensor *t, hid_t links, hid_t plan)
{
    hsize_t shape[CN_MAX_RANK];
    for (int i = 0; i < t->value.rank; i++) shape[i] = (hsize_t)t->value.shape[i];
    hid_t space = H5Screate_simple(t->value.rank, shape, NULL);
    hid_t dataset = H5Dcreate2(file, t->name, H5T_IEEE_F32LE, space, links, plan, H5P_DEFAULT);
    herr_t done = H5Dwrite(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, t->value.data);
    if (dataset >= 0) H5Dclose(dataset);
    if (space >= 0) H5Sclose(space);
    return done >= 0;
}

/* Opens a file that is memory alone, and fills it. */
static hid_t fill_image(const cn_named_tensor *tensors, int count, bool *ok)
{
    enum { STEP = 1 << 20 };
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), links = H5Pcreate(H5P_LINK_CREATE);
    hid_t plan = H5Pcreate(H5P_DATASET_CREATE);
    *ok = H5Pset_fapl_core(access, STEP, false) >= 0 &&
          H5Pset_create_intermediate_group(links, 1) >= 0 &&
          H5Pset_obj_track_times(plan, false) >= 0; /* the same weights give the same bytes */
    hid_t file = *ok ? H5Fcreate("weights", H5F_ACC_TRUNC, H5P_DEFAULT, access) : -1;
    *ok = file >= 0;
    for (int i = 0; i < count && *ok; i++) *ok = write_array(file, &tensors[i], links, plan);
    *ok = *ok && H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0;
    H5Pclose(plan);
    H5Pclose(links);
    H5Pclose(access);
    return file;
}

cn_status cn_hdf5_weights_write(const cn_named_tensor *tensors, int count, const char *path,
                                uint8_t **bytes, size_t *size, cn_error *err)
{
    bool ok;
    uint8_t *image = NULL;
    silence s = be_silent();
    hid_t file = fill_image(tensors, count, &ok);
    const ssize_t length = ok ? H5Fget_file_image(file, NULL, 0) : -1;
    cn_status status = CN_ERR_MEMORY;
    if (length > 0) image = cn_allocate((size_t)length, 1, path, err);
    if (image && H5Fget_file_image(file, image, (size_t)length) == length)
        status = CN_OK;
    else if (image || length <= 0)
        cn_fail(err, CN_ERR_MEMORY, "%.100s: HDF5: no memory for the weights", path);
    if (file >= 0) H5Fclose(file);
    end_silence(s);
    if (status == CN_OK) {
        *bytes = image;
        *size = (size_t)length;
    } else {
        cn_release(image);
    }
    return status;
}

#else

cn_status cn_hdf5_weights_write(const cn_named_tensor *tensors, int count, const char *path,
                                uint8_t **bytes, size_t *size, cn_error *err)
{
    (void)tensors, (void)count, (void)bytes, (void)size;
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%.120s: weights for Keras are HDF5, but this library was built without libhdf5 "
                   "(CONVNET_HDF5; Debian's package is libhdf5-dev)",
                   path);
}

cn_status cn_hdf5_open(cn_array_file *out, const char *path, cn_error *err)
{
    (void)out;
    return cn_fail(err, CN_ERR_UNSUPPORTED,
                   "%.120s: an HDF5 file, but this library was built without libhdf5 "
                   "(CONVNET_HDF5; Debian's package is libhdf5-dev)",
                   path);
}

#endif
