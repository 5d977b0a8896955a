/* masks.c - masks read, and their values made classes. */
#include "data/masks.h"
#include "base/threads.h"
#include "formats/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cn_mask_colors *colors_of(const cn_mask_table *table)
{
    return table->colors.count ? &table->colors : NULL;
}

/* ---- Which values there are */

/* The values of a file's mask, a bit each. */
typedef struct values {
    uint32_t bits[8];
    cn_status status;
} values;

typedef struct scan {
    const char **paths;
    const cn_mask_colors *colors;
    values *found;
    int first;
} scan;

static cn_status find_values(values *v, const char *path, const cn_mask_colors *colors,
                             cn_error *err)
{
    cn_tensor mask = {0};
    cn_status status = cn_mask_load_colors(&mask, path, colors, err);
    const uint8_t *value = mask.data;
    for (size_t i = 0; status == CN_OK && i < cn_tensor_count(&mask); i++)
        v->bits[value[i] / 32] |= UINT32_C(1) << value[i] % 32;
    cn_tensor_free(&mask);
    return v->status = status;
}

static void scan_unit(void *argument, int unit, int worker)
{
    const scan *s = argument;
    (void)worker;
    find_values(&s->found[s->first + unit], s->paths[s->first + unit], s->colors, NULL);
}

/* On all processors; the error is that of the first mask that has one, unless it may be skipped. */
static cn_status scan_all(bool present[256], scan *s, int count, const cn_request *request,
                          cn_error *err)
{
    enum { BLOCK = 256 };
    cn_pool *pool = NULL;
    cn_status status = cn_pool_create(&pool, 0, err);
    for (; status == CN_OK && s->first < count; s->first += BLOCK) {
        int units = count - s->first < BLOCK ? count - s->first : BLOCK;
        cn_pool_run(pool, units, scan_unit, s);
        for (int i = s->first; status == CN_OK && i < s->first + units; i++) {
            if (s->found[i].status != CN_OK &&
                !cn_image_may_be_skipped(s->found[i].status, request))
                status = find_values(&s->found[i], s->paths[i], s->colors, err);
            for (int v = 0; v < 256; v++)
                if (s->found[i].bits[v / 32] >> v % 32 & 1) present[v] = true;
        }
    }
    cn_pool_free(pool);
    return status;
}

static cn_status list_values(bool present[256], const cn_image_set *set,
                             const cn_mask_colors *colors, const cn_request *request,
                             const char *what, cn_error *err)
{
    size_t count = 0, n = 0;
    for (int part = 0; part < CN_PARTS; part++) count += (size_t)set->parts[part].count;
    scan s = {.paths = cn_allocate(count, sizeof *s.paths, what, err), .colors = colors};
    if (s.paths) s.found = cn_allocate(count, sizeof *s.found, what, err);
    for (int part = 0; s.found && part < CN_PARTS; part++)
        for (int i = 0; i < set->parts[part].count; i++) s.paths[n++] = set->parts[part].masks[i];
    cn_status status = s.found ? scan_all(present, &s, (int)count, request, err) : CN_ERR_MEMORY;
    cn_release(s.paths);
    cn_release(s.found);
    return status;
}

/* ---- What they stand for */

/* The value without a class; -1 for none. */
static int find_ignored(const bool present[256], const cn_request *request)
{
    if (request->opts->given & CN_OPTION_IGNORE) return request->opts->ignore;
    for (int v = 1; v < 255; v++)
        if (present[v]) return CN_MASK_IGNORED;
    return -1;
}

static cn_status use_names(cn_mask_table *t, int named, const bool present[256], int ignored,
                           const char *what, cn_error *err)
{
    for (int v = 0; v < 256; v++) {
        if (v < named && v != ignored) t->class_of[v] = (uint8_t)v;
        if (present[v] && v >= named && v != ignored)
            return cn_fail(err, CN_ERR_FORMAT,
                           "%.120s: a mask has a pixel of %d, but there are names for %d classes",
                           what, v, named);
    }
    t->classes = named;
    return CN_OK;
}

/* The values that there are, as names. */
static cn_status name_values(cn_mask_table *t, const int *value, cn_error *err)
{
    enum { NUMBER = 4 };
    size_t n = (size_t)t->classes;
    t->names = cn_allocate(n, sizeof *t->names + NUMBER, "class names", err);
    if (!t->names) return CN_ERR_MEMORY;
    char *text = (char *)(t->names + n);
    for (size_t i = 0; i < n; i++, text += NUMBER) {
        snprintf(text, NUMBER, "%d", value[i]);
        t->names[i] = text;
    }
    return CN_OK;
}

static cn_status number_values(cn_mask_table *t, const bool present[256], int ignored,
                               cn_remarks *remarks, cn_error *err)
{
    int value[256], top = 0;
    for (int v = 0; v < 256; v++) {
        if (!present[v] || v == ignored) continue;
        t->class_of[v] = (uint8_t)t->classes;
        value[t->classes++] = top = v;
    }
    if (t->classes == 2 && value[0] == 0 && value[1] == 255) return CN_OK;
    if (t->classes == 0 || top == t->classes - 1) return CN_OK;
    cn_status status = cn_remark(remarks, err,
                                 "the masks have %d different values from %d to %d, which are the "
                                 "names of as many classes",
                                 t->classes, value[0], top);
    return status == CN_OK ? name_values(t, value, err) : status;
}

cn_status cn_masks_refuse(const char *what, size_t i, double value, cn_error *err)
{
    return cn_fail(err, CN_ERR_FORMAT,
                   "%.120s: masks: element %zu is %.17g, expected a whole number of 0 to 255", what,
                   i, value);
}

cn_status cn_mask_table_make(cn_mask_table *t, const bool present[256], int named,
                             const cn_request *request, const char *what, cn_error *err)
{
    memset(t->class_of, CN_MASK_IGNORED, sizeof t->class_of);
    t->classes = 0;
    t->names = NULL;
    int ignored = find_ignored(present, request);
    cn_status status = named ? use_names(t, named, present, ignored, what, err)
                             : number_values(t, present, ignored, request->remarks, err);
    if (status == CN_OK && (t->classes < 1 || t->classes > CN_MASK_IGNORED))
        status = cn_fail(err, CN_ERR_FORMAT, "%.120s: masks of %d classes, expected 1 to %d", what,
                         t->classes, (int)CN_MASK_IGNORED);
    if (status == CN_OK && ignored >= 0 && present[ignored])
        status = cn_remark(request->remarks, err,
                           "pixels of %d in masks have no class and are ignored", ignored);
    if (status != CN_OK) {
        cn_release(t->names);
        t->names = NULL;
    }
    return status;
}

cn_status cn_mask_table_find(cn_mask_table *table, const cn_image_set *set,
                             const cn_request *request, const char *what, cn_error *err)
{
    bool present[256] = {false};
    char **names = NULL;
    int named = set->class_names ? set->classes : 0;
    cn_status status = CN_OK;
    const char *path = *request->opts->colors ? request->opts->colors : set->colors;
    if (path) {
        status = cn_mask_colors_read(&table->colors, &names, path, err);
        named = table->colors.count;
    }
    if (status == CN_OK) status = list_values(present, set, colors_of(table), request, what, err);
    if (status == CN_OK) status = cn_mask_table_make(table, present, named, request, what, err);
    if (status == CN_OK && names)
        table->names = names;
    else
        cn_release(names);
    return status;
}

/* ---- Reading */

cn_status cn_mask_read(uint8_t *out, const int n[2], const char *path, const int image[2],
                       const cn_image_opts *opts, const cn_mask_table *table, cn_error *err)
{
    cn_tensor mask = {0};
    cn_status status = cn_mask_load_colors(&mask, path, colors_of(table), err);
    if (!image) image = mask.shape;
    if (status == CN_OK && (mask.shape[0] != image[0] || mask.shape[1] != image[1]))
        status = cn_fail(err, CN_ERR_FORMAT,
                         "%.120s: a mask of %d x %d for an image of %d x %d, expected the same",
                         path, mask.shape[0], mask.shape[1], image[0], image[1]);
    if (status == CN_OK) {
        const uint8_t *value = mask.data;
        cn_image_part part = cn_image_fit_part(image[0], image[1], n[0], n[1], opts);
        for (int r = 0; r < n[0]; r++) {
            /* The middle of the output's pixel, in whole halves: floor((r + 1/2) height / n). */
            int64_t row = part.top + (2 * (int64_t)r + 1) * part.height / (2 * (int64_t)n[0]);
            for (int c = 0; c < n[1]; c++) {
                int64_t column =
                    part.left + (2 * (int64_t)c + 1) * part.width / (2 * (int64_t)n[1]);
                *out++ = table->class_of[value[row * mask.shape[1] + column]];
            }
        }
    }
    cn_tensor_free(&mask);
    return status;
}
