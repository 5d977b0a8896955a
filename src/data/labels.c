/*
 * labels.c - classes out of labels that are numbers.
 *
 * Labels from 0 on without gaps are the classes. Others (1 to 10; 5, 70, 1000000) are numbered in
 * their order, and keep what they are as names: so that a class without examples takes up no
 * output.
 */
#include "data/labels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CLASSES = 65536, NAME = 12 };

static int compare(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return x < y ? -1 : x > y;
}

/* The different labels, in order; NULL with an error. */
static int32_t *list_values(int32_t *const labels[CN_PARTS], const int counts[CN_PARTS], size_t *n,
                            const char *what, cn_error *err)
{
    size_t all = 0, kept = 0;
    for (int k = 0; k < CN_PARTS; k++) all += (size_t)counts[k];
    int32_t *list = cn_allocate(all + 1, sizeof *list, what, err);
    if (!list) return NULL;
    for (int k = 0, at = 0; k < CN_PARTS; k++)
        for (int i = 0; i < counts[k]; i++) list[at++] = labels[k][i];
    qsort(list, all, sizeof *list, compare);
    for (size_t i = 0; i < all; i++)
        if (i == 0 || list[i] != list[kept - 1]) list[kept++] = list[i];
    *n = kept;
    return list;
}

static char **make_names(const int32_t *values, size_t n, const char *what, cn_error *err)
{
    char **names = cn_allocate(n * (sizeof *names + NAME), 1, what, err);
    char *text = (char *)(names + n);
    for (size_t i = 0; names && i < n; i++, text += NAME) {
        snprintf(text, NAME, "%d", (int)values[i]);
        names[i] = text;
    }
    return names;
}

cn_status cn_labels_number(int32_t *const labels[CN_PARTS], const int counts[CN_PARTS],
                           int *classes, char ***names, cn_remarks *remarks, const char *what,
                           cn_error *err)
{
    size_t n = 0;
    int32_t *values = list_values(labels, counts, &n, what, err);
    if (!values) return CN_ERR_MEMORY;
    cn_status status = CN_OK;
    bool plain = n == 0 || values[n - 1] == (int32_t)n - 1;
    if (n > MOST_CLASSES)
        status = cn_fail(err, CN_ERR_FORMAT, "%.120s: %zu different labels, expected at most %d",
                         what, n, (int)MOST_CLASSES);
    else if (!plain)
        status = cn_remark(remarks, err,
                           "labels from %d to %d make %zu class%s, which have them as names",
                           (int)values[0], (int)values[n - 1], n, n == 1 ? "" : "es");
    if (status == CN_OK && !plain) {
        *names = make_names(values, n, what, err);
        if (!*names) status = CN_ERR_MEMORY;
    }
    for (int k = 0; status == CN_OK && !plain && k < CN_PARTS; k++)
        for (int i = 0; i < counts[k]; i++) {
            const int32_t *at = bsearch(&labels[k][i], values, n, sizeof *values, compare);
            labels[k][i] = (int32_t)(at - values);
        }
    if (status == CN_OK) *classes = (int)n;
    cn_release(values);
    return status;
}
