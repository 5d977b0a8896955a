/*
 * csv_pixels.c - a table of labels and pixels, the form in which MNIST is passed around most often:
 *
 *   label,pixel0,pixel1,...    a heading or none; the label is the column of that name, else the first
 *   5,0,0,12,...               the image row by row, a pixel's channels side by side; a column of the
 *                              rows' numbers in front, as pandas writes it, is passed over
 *
 *   emotion,pixels,Usage       or all pixels in one field, with blanks between them, as FER2013 has them;
 *   3,70 80 82 ...,Training    a column may tell the part
 *
 * The rest of the columns make a square of one channel or of three, unless size= and channels= say
 * what they make. A table beside it without the column of labels is passed over.
 */
#include "data/csv.h"
#include "data/table.h"

#include <math.h>
#include <string.h>

enum { FEWEST = 4 }; /* columns, of 2 x 2 pixels */

typedef struct pixel_table {
    cn_table text;
    int label;  /* its column; -1: none */
    int number; /* the column of the rows' numbers; -1: none */
    int packed; /* the column of all pixels; -1: they have their own */
    int split;  /* the column of the part, beside that one; -1: none */
    bool paths; /* a column that tells images, so that the numbers are no pixels */
    bool heading;
    cn_tensor images; /* F32 */
    char **labels;
    uint8_t *parts; /* of each row, where there is a column for it */
    int count, counts[CN_PARTS];
} pixel_table;

/* Behind the number, or NULL. */
static const char *scan(const char *field, double *value)
{
    const char *at = field; /* most are three digits */
    for (*value = 0; cn_is_digit(*at) && at < field + 9; at++) *value = 10 * *value + (*at - '0');
    return at > field && (!*at || *at == ' ') ? at : cn_number_scan(field, value);
}

static bool is_number(const char *field, double *value)
{
    const char *end = scan(field, value);
    return end && !*end;
}

static bool are_numbers(const cn_table *t)
{
    double value;
    int numbers = 0;
    for (int i = 0; i < t->count; i++) numbers += is_number(t->fields[i], &value);
    return numbers == t->count || (numbers == t->count - 1 && !is_number(t->fields[0], &value));
}

/* Reads the first row; it is the heading where the second is made of numbers, and it is not. */
static cn_status open_table(pixel_table *p, const char *path, bool *fits, cn_error *err)
{
    bool more = false;
    *fits = false;
    cn_status status = cn_table_open(&p->text, path, err);
    if (status == CN_OK) status = cn_table_next(&p->text, &more, err);
    if (status != CN_OK || !more) return status;
    double value;
    int numbers = 0, columns = p->text.count;
    const cn_csv_columns c = cn_csv_find_columns(&p->text);
    p->label = 0;
    p->number = p->split = p->packed = -1;
    for (int i = 0; i < columns; i++)
        if (cn_same_letters(p->text.fields[i], "pixels")) p->packed = i;
    if (columns < FEWEST && p->packed < 0) return CN_OK;
    *fits = p->packed < 0 && are_numbers(&p->text);
    if (*fits) return CN_OK;
    p->heading = true;
    p->label = c.label;
    if (p->packed >= 0) p->split = c.split;
    if (cn_csv_names_nothing(p->text.fields[0])) p->number = 0;
    for (int i = 0; i < columns; i++) p->paths = p->paths || cn_csv_names_image(p->text.fields[i]);
    status = cn_table_next(&p->text, &more, err);
    for (int i = 0; status == CN_OK && more && i < p->text.count; i++)
        numbers += i == p->label || is_number(p->text.fields[i], &value);
    *fits = more && (p->packed >= 0 ? p->text.count == columns : numbers == columns);
    return status;
}

static void free_table(pixel_table *p)
{
    cn_table_close(&p->text);
    cn_tensor_free(&p->images);
    cn_release(p->labels);
    cn_release(p->parts);
}

bool cn_csv_is_of_pixels(const char *path)
{
    pixel_table p = {.label = -1};
    bool fits = false;
    cn_status status = open_table(&p, path, &fits, NULL);
    free_table(&p);
    return status == CN_OK && fits && !p.paths;
}

static cn_status find_shape(int shape[4], int values, const cn_request *request, const char *path,
                            cn_error *err)
{
    if (cn_shape_of_row(shape, values, request)) return CN_OK;
    return cn_fail(err, CN_ERR_FORMAT,
                   "%.100s: %d pixels in a row, which make no square of 1 or 3 channels; "
                   "size=HEIGHTxWIDTH says what they make",
                   path, values);
}

/* No more than the line ends, and one. */
static size_t count_lines(const char *text)
{
    size_t lines = 2;
    for (; *text; text++) lines += *text == '\n' || *text == '\r';
    return lines;
}

static cn_status wrong_pixel(const pixel_table *p, const char *at, cn_error *err)
{
    return cn_fail(err, CN_ERR_FORMAT, "%.120s: line %d: pixel \"%.20s\", expected a number",
                   p->text.path, p->text.line, at);
}

/* The pixels of a row into x[0..values-1]. */
static cn_status read_pixels(const pixel_table *p, float *x, int values, cn_error *err)
{
    const cn_table *t = &p->text;
    const char *at = p->packed < 0 ? "" : t->fields[p->packed];
    double value;
    for (int i = 0; i < (p->packed < 0 ? t->count : values); i++) {
        if (p->packed < 0 && (i == p->label || i == p->number)) continue;
        if (p->packed < 0) at = t->fields[i];
        const char *end = scan(at, &value);
        if (!end || !isfinite(value) || (*end && (p->packed < 0 || *end != ' ')))
            return wrong_pixel(p, at, err);
        *x++ = (float)value;
        at = end + strspn(end, " ");
    }
    return *at ? wrong_pixel(p, at, err) : CN_OK;
}

static cn_status add_row(pixel_table *p, int values, int expected, cn_error *err)
{
    const cn_table *t = &p->text;
    float *x = (float *)p->images.data + (size_t)p->count * (size_t)values;
    if (t->count != expected)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: line %d: %d fields, expected %d", t->path,
                       t->line, t->count, expected);
    cn_said said = p->split < 0 ? CN_SAYS_TRAIN : cn_csv_part(t->fields[p->split]);
    if (cn_csv_is_missing(t->fields[p->label]) || said == CN_SAYS_NOTHING)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: line %d: \"%.16s\", expected a %s", t->path,
                       t->line, t->fields[said == CN_SAYS_NOTHING ? p->split : p->label],
                       said == CN_SAYS_NOTHING ? "part: train, test or val" : "label");
    p->parts[p->count] = (uint8_t)said;
    p->counts[said]++;
    p->labels[p->count++] = t->fields[p->label];
    return read_pixels(p, x, values, err);
}

/* How many pixels a row has. */
static int count_pixels(const pixel_table *p)
{
    int count = 0;
    if (p->packed < 0) return p->text.count - 1 - (p->number == 0);
    for (const char *at = p->text.fields[p->packed]; *at; count++) {
        at += strcspn(at, " ");
        at += strspn(at, " ");
    }
    return count;
}

/* All rows, from the one that open_table has read last on. */
static cn_status read_rows(pixel_table *p, const cn_request *request, cn_error *err)
{
    const char *path = p->text.path;
    const int values = count_pixels(p), columns = p->text.count;
    int shape[4];
    size_t lines = count_lines(p->text.at);
    bool more = true;
    cn_status status = find_shape(shape, values, request, path, err);
    if (status != CN_OK) return status;
    if (lines > INT32_MAX) return cn_fail(err, CN_ERR_UNSUPPORTED, "%.120s: too many lines", path);
    shape[0] = (int)lines;
    status = cn_tensor_create(&p->images, CN_DTYPE_F32, 4, shape, err);
    if (status == CN_OK) p->labels = cn_allocate(lines, sizeof *p->labels, path, err);
    if (p->labels) p->parts = cn_allocate(lines, sizeof *p->parts, path, err);
    if (status == CN_OK && !p->parts) status = CN_ERR_MEMORY;
    while (status == CN_OK && more) {
        status = add_row(p, values, columns, err);
        if (status == CN_OK) status = cn_table_next(&p->text, &more, err);
    }
    p->images.shape[0] = p->count;
    return status;
}

/* Whole numbers of 0 to 255 are bytes. */
static cn_status to_bytes(cn_tensor *images, cn_error *err)
{
    const float *x = images->data;
    size_t n = cn_tensor_count(images);
    cn_tensor bytes = {0};
    for (size_t i = 0; i < n; i++)
        if (!(x[i] >= 0 && x[i] <= 255 && x[i] == (float)(int)x[i])) return CN_OK;
    cn_status status = cn_tensor_create(&bytes, CN_DTYPE_U8, 4, images->shape, err);
    if (status != CN_OK) return status;
    for (size_t i = 0; i < n; i++) ((uint8_t *)bytes.data)[i] = (uint8_t)x[i];
    cn_tensor_free(images);
    *images = bytes;
    return CN_OK;
}

static cn_status read_part(pixel_table *p, const char *path, bool beside, const cn_request *request,
                           cn_error *err)
{
    bool fits = false;
    cn_status status = open_table(p, path, &fits, err);
    if (status != CN_OK) return status;
    if (!fits)
        return cn_fail(err, CN_ERR_FORMAT, "%.120s: expected rows of a label and pixels", path);
    if (p->label < 0)
        return beside
                   ? cn_remark(request->remarks, err, "passed over %s, which has no labels", path)
                   : cn_fail(err, CN_ERR_FORMAT, "%.120s: expected a column called label", path);
    return read_rows(p, request, err);
}

/* The set of what the split takes of a part. */
static cn_status make_set(cn_dataset **data, pixel_table *p, cn_dataset_parts like,
                          const int counts[CN_PARTS], int part, const cn_request *request,
                          cn_error *err)
{
    cn_dataset *whole = NULL;
    cn_dataset_parts parts = like;
    parts.images = p->images;
    p->images = (cn_tensor){0};
    cn_status status = to_bytes(&parts.images, err);
    if (status == CN_OK) status = cn_find_range(&parts, request, p->text.path, err);
    if (status == CN_OK) status = cn_dataset_adopt(&whole, &parts, p->text.path, err);
    cn_tensor_free(&parts.images);
    cn_tensor_free(&parts.labels);
    if (status == CN_OK) status = cn_dataset_part(data, whole, counts, request->split, part, err);
    cn_dataset_free(whole);
    return status;
}

static cn_status make_sets(cn_dataset **data, pixel_table tables[CN_PARTS],
                           const cn_request *request, const char *path, cn_error *err)
{
    cn_text_labels texts = {.counts = {0}};
    cn_tensor labels[CN_PARTS] = {{0}};
    int32_t *numbers[CN_PARTS] = {NULL};
    char **names = NULL;
    cn_dataset *joined = NULL;
    cn_dataset_parts like = {.classes = 0};
    cn_status status = CN_OK;
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++) {
        texts.texts[part] = tables[part].labels;
        texts.counts[part] = tables[part].count;
        if (tables[part].count)
            status = cn_tensor_create(&labels[part], CN_DTYPE_I32, 1, &tables[part].count, err);
        numbers[part] = labels[part].data;
    }
    if (status == CN_OK) status = cn_split_remark(texts.counts, request, err);
    if (status == CN_OK)
        status = cn_text_labels_number(&texts, numbers, &like.classes, &names, request->remarks,
                                       path, err);
    like.class_names = (const char *const *)names;
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++) {
        cn_dataset *taken = NULL, *before = joined;
        if (cn_split_count(texts.counts, request->split, part) == 0) continue;
        like.labels = labels[part];
        labels[part] = (cn_tensor){0};
        status = make_set(&taken, &tables[part], like, texts.counts, part, request, err);
        if (status != CN_OK) break;
        joined = NULL;
        status = cn_dataset_join(&joined, before, taken, err);
    }
    for (int part = 0; part < CN_PARTS; part++) cn_tensor_free(&labels[part]);
    cn_release(names);
    if (status == CN_OK && joined)
        *data = joined;
    else
        cn_dataset_free(joined);
    return status;
}

/* The rows of a table whose column tells the parts go to these, which share its text. */
static cn_status part_rows(pixel_table tables[CN_PARTS], pixel_table *all, cn_error *err)
{
    cn_status status = CN_OK;
    int shape[4];
    memcpy(shape, all->images.shape, sizeof shape);
    for (int part = 0; status == CN_OK && part < CN_PARTS; part++) {
        pixel_table *t = &tables[part];
        t->text.path = all->text.path;
        shape[0] = all->counts[part];
        if (shape[0] == 0) continue;
        t->labels = cn_allocate((size_t)shape[0], sizeof *t->labels, all->text.path, err);
        status =
            t->labels ? cn_tensor_create(&t->images, CN_DTYPE_F32, 4, shape, err) : CN_ERR_MEMORY;
    }
    const char *from = all->images.data;
    const size_t each = cn_tensor_count(&all->images) / (size_t)all->count * sizeof(float);
    for (int i = 0; status == CN_OK && i < all->count; i++, from += each) {
        pixel_table *t = &tables[all->parts[i]];
        memcpy((char *)t->images.data + (size_t)t->count * each, from, each);
        t->labels[t->count++] = all->labels[i];
    }
    cn_tensor_free(&all->images);
    return status;
}

cn_status cn_csv_load_pixels(cn_dataset **data, const char *path, const cn_request *request,
                             cn_error *err)
{
    char(*paths)[CN_PATH_ROOM] = cn_allocate(CN_PARTS, sizeof *paths, path, err);
    pixel_table tables[CN_PARTS] = {{.count = 0}}, all = {.count = 0};
    cn_status status = paths ? read_part(&all, path, false, request, err) : CN_ERR_MEMORY;
    if (status == CN_OK && all.split >= 0) {
        status = part_rows(tables, &all, err);
    } else if (status == CN_OK) {
        cn_csv_find_parts(paths, path);
        for (int part = 0; status == CN_OK && part < CN_PARTS; part++)
            if (strcmp(paths[part], path) == 0) {
                tables[part] = all;
                all = (pixel_table){.count = 0};
            } else if (paths[part][0]) {
                status = read_part(&tables[part], paths[part], true, request, err);
            }
    }
    if (status == CN_OK) status = make_sets(data, tables, request, path, err);
    for (int part = 0; part < CN_PARTS; part++) free_table(&tables[part]);
    free_table(&all);
    cn_release(paths);
    return status;
}
