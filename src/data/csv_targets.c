/*
 * csv_targets.c - tables whose rows have several labels, or numbers:
 *
 *   path,beach,boat,tree        columns of 0 and 1: several labels per image
 *   a.jpg,1,0,1
 *
 *   path,label                  labels between bars: the same; none for an image that has none
 *   a.jpg,beach|tree
 *
 *   path,age,weight             other numbers: regression
 *   a.jpg,41,70.5
 *
 * A single column of labels holds numbers to learn where any has a fraction or they are in percent,
 * and classes else.
 * task= and columns= behind the path say it otherwise.
 */
#include "data/csv_targets.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TARGETS = 65536 };

/* ---- Columns */

void cn_target_columns_free(cn_target_columns *c)
{
    for (int i = 0; i < c->row_count; i++) cn_release(c->rows[i]);
    cn_release(c->rows);
    cn_release(c->index);
    cn_release(c->names);
    *c = (cn_target_columns){.count = 0};
}

static bool is_finite_number(const char *text, double *value)
{
    *value = cn_same_letters(text, "true");
    if (*value == 1 || cn_same_letters(text, "false")) return true;
    return cn_number_read(text, value) && isfinite(*value) && isfinite((float)*value);
}

/* A field of a row that tells whether its column holds numbers. */
static bool may_be_number(const cn_table *row, int i)
{
    double value;
    const char *field = row->fields[i];
    return cn_csv_is_missing(field) || is_finite_number(field, &value) ||
           cn_csv_is_number(field, row->separator);
}

static bool is_asked(const cn_request *request, cn_task_kind task)
{
    return (request->opts->given & CN_OPTION_TASK) && request->opts->task == task;
}

static int find_name(char *const *heading, int count, const char *name, size_t length)
{
    for (int i = 0; i < count; i++)
        if (strlen(heading[i]) == length && memcmp(heading[i], name, length) == 0) return i;
    return -1;
}

static cn_status add_column(cn_target_columns *c, int index, char *name)
{
    c->index[c->count] = index;
    c->names[c->count++] = name;
    return CN_OK;
}

/* Those that columns=A|B names. */
static cn_status take_named(cn_target_columns *c, char *const *heading, int count, const char *list,
                            const char *what, cn_error *err)
{
    for (const char *at = list; *at;) {
        size_t length = strcspn(at, "|");
        int found = find_name(heading, count, at, length);
        if (found < 0)
            return cn_fail(err, CN_ERR_ARGUMENT, "%.100s: columns=%.60s: no column is called %.*s",
                           what, list, (int)(length < 60 ? length : 60), at);
        if (c->count == count)
            return cn_fail(err, CN_ERR_ARGUMENT, "%.100s: columns=%.60s: a column is named twice",
                           what, list);
        add_column(c, found, heading[found]);
        at += length;
        if (*at) at++;
    }
    return CN_OK;
}

/* Those of another table of the set; none where it has none of them. */
static cn_status take_like(cn_target_columns *c, char *const *heading, int count,
                           const cn_target_columns *like, const char *what, cn_error *err)
{
    for (int k = 0; k < like->count; k++) {
        int found = find_name(heading, count, like->names[k], strlen(like->names[k]));
        if (found >= 0 && c->count < count) add_column(c, found, heading[found]);
    }
    if (c->count == 0 || c->count == like->count) return CN_OK;
    return cn_fail(err, CN_ERR_FORMAT,
                   "%.120s: expected the %d columns of the other part, found %d", what, like->count,
                   c->count);
}

static bool is_among(const int *index, int count, int i)
{
    while (count > 0)
        if (index[--count] == i) return true;
    return false;
}

cn_status cn_columns_say(const char *what, char *const *heading, int count, const int *index,
                         int index_count, bool inside, const int skip[3], cn_remarks *remarks,
                         cn_error *err)
{
    char list[160] = "", name[40];
    int named = 0;
    for (int i = 0; i < count; i++) {
        if (is_among(index, index_count, i) != inside || is_among(skip, 3, i)) continue;
        size_t length = strlen(list);
        if (named++ < 4)
            snprintf(list + length, sizeof list - length, "%s%s", length ? ", " : "",
                     cn_plain_text(*heading[i] ? heading[i] : "(no name)", name, sizeof name));
    }
    if (named == 0) return CN_OK;
    return cn_remark(remarks, err, "%s the column%s %s%s", what, cn_plural(named), list,
                     named > 4 ? ", ..." : "");
}

cn_status cn_target_columns_find(cn_target_columns *c, const cn_table *row, char *const *heading,
                                 int heading_count, const int skip[3],
                                 const cn_target_columns *like, const cn_request *request,
                                 cn_error *err)
{
    size_t n = (size_t)heading_count;
    const char *list = request->opts->columns;
    c->index = cn_allocate(n, sizeof *c->index, row->path, err);
    c->names = c->index ? cn_allocate(n, sizeof *c->names, row->path, err) : NULL;
    cn_status status = c->names ? CN_OK : CN_ERR_MEMORY;
    if (status != CN_OK) return status;
    if (like)
        status = take_like(c, heading, heading_count, like, row->path, err);
    else if (*list)
        status = take_named(c, heading, heading_count, list, row->path, err);
    for (int i = 0; !like && !*list && i < heading_count && i < row->count; i++)
        if (i != skip[0] && i != skip[1] && !cn_csv_names_image(heading[i]) &&
            !cn_csv_names_nothing(heading[i]) && may_be_number(row, i))
            add_column(c, i, heading[i]);
    bool tell = !like && !*list;
    if (status == CN_OK && tell)
        status = cn_columns_say("to be learned:", heading, heading_count, c->index, c->count, true,
                                skip, request->remarks, err);
    if (status == CN_OK && c->count > 0)
        status = cn_columns_say("passed over", heading, heading_count, c->index, c->count, false,
                                skip, request->remarks, err);
    return status;
}

bool cn_target_columns_are_labels(const cn_target_columns *c, const cn_table *row,
                                  const cn_request *request)
{
    return c->count == 1 && request->opts->columns[0] && c->index[0] < row->count &&
           (is_asked(request, CN_TASK_CLASSIFICATION) ||
            cn_csv_is_missing(row->fields[c->index[0]]) || !may_be_number(row, c->index[0]));
}

cn_status cn_target_columns_add(cn_target_columns *c, const cn_table *row, cn_error *err)
{
    cn_status status =
        cn_array_grow(&c->rows, sizeof *c->rows, c->row_count, &c->row_room, row->path, err);
    if (status != CN_OK) return status;
    char **values = cn_allocate((size_t)c->count, sizeof *values, row->path, err);
    if (!values) return CN_ERR_MEMORY;
    for (int k = 0; k < c->count; k++) values[k] = row->fields[c->index[k]];
    c->rows[c->row_count++] = values;
    return CN_OK;
}

/* ---- Targets */

void cn_row_targets_free(cn_row_targets *t)
{
    cn_release(t->values);
    cn_release((void *)t->names);
    cn_release(t->text);
    *t = (cn_row_targets){.count = 0};
}

static cn_status make_room(cn_row_targets *t, int n, int count, const char *what, cn_error *err)
{
    size_t columns = (size_t)count;
    t->count = count;
    t->values = cn_allocate((size_t)n, columns * sizeof *t->values, what, err);
    if (t->values) t->names = cn_allocate(columns, sizeof *t->names, what, err);
    return t->names ? CN_OK : CN_ERR_MEMORY;
}

/* Numbers of 0 and 1, or of -1, which stands for what is not there or not known. */
static bool are_binary(const float *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (values[i] != 0 && values[i] != 1 && values[i] != -1) return false;
    return true;
}

/* Whether each row has a single 1, and there are several columns. */
static bool are_one_hot(const cn_row_targets *t, int n)
{
    const float *at = t->values;
    for (int i = 0; i < n; i++) {
        int ones = 0;
        for (int k = 0; k < t->count; k++) ones += *at++ == 1;
        if (ones != 1) return false;
    }
    return t->count > 1;
}

/* What columns of 0 and 1 are: a class per image, or any number of labels. */
static cn_status settle_binary(cn_row_targets *t, int n, const cn_request *request,
                               const char *what, cn_error *err)
{
    size_t absent = 0;
    for (size_t i = 0; i < (size_t)n * (size_t)t->count; i++)
        if (t->values[i] < 0) {
            t->values[i] = 0;
            absent++;
        }
    t->task = CN_TASK_MULTI_LABEL;
    if (absent > 0 && !is_asked(request, CN_TASK_CLASSIFICATION))
        return cn_remark(request->remarks, err,
                         "%zu labels that are empty or -1 are taken for 0: not there", absent);
    bool one_hot = !is_asked(request, CN_TASK_MULTI_LABEL) && are_one_hot(t, n);
    if (!one_hot && is_asked(request, CN_TASK_CLASSIFICATION))
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.120s: task=classification wants a single 1 per row, or columns=NAME",
                       what);
    if (!one_hot) return CN_OK;
    t->task = CN_TASK_CLASSIFICATION;
    return cn_remark(request->remarks, err,
                     "each row has a single 1: the columns are classes; task=multi-label says "
                     "otherwise");
}

/* Numbers in percent, or with a decimal comma, column by column. */
static cn_status take_marks(char *const *const *rows, int n, int count, char separator,
                            const cn_request *request, cn_error *err)
{
    bool percent;
    char **cells = cn_allocate((size_t)n, sizeof *cells, "numbers", err);
    cn_status status = cells ? CN_OK : CN_ERR_MEMORY;
    for (int k = 0; status == CN_OK && k < count; k++) {
        for (int i = 0; i < n; i++) cells[i] = rows[i][k];
        status = cn_csv_take_marks(cells, n, separator, &percent, request->remarks, err);
    }
    cn_release(cells);
    return status;
}

cn_status cn_row_targets_of_columns(cn_row_targets *t, const cn_target_columns *c,
                                    char *const *const *rows, const int *lines, int n,
                                    char separator, const cn_request *request, const char *what,
                                    cn_error *err)
{
    char plain[40];
    double value;
    cn_status status = make_room(t, n, c->count, what, err);
    if (status == CN_OK) status = take_marks(rows, n, c->count, separator, request, err);
    if (status != CN_OK) return status;
    for (int k = 0; k < c->count; k++) t->names[k] = c->names[k];
    float *at = t->values;
    int wrong = -1, column = 0; /* the first that is no number; empty ones may be no labels */
    for (int i = 0; i < n; i++)
        for (int k = 0; k < c->count; k++, at++) {
            bool number = is_finite_number(rows[i][k], &value);
            bool missing = cn_csv_is_missing(rows[i][k]);
            *at = number ? (float)value : missing ? -1 : NAN;
            if (number || (wrong >= 0 && missing)) continue;
            if (wrong < 0 || cn_csv_is_missing(rows[wrong][column])) wrong = i, column = k;
        }
    bool binary = !is_asked(request, CN_TASK_REGRESSION) &&
                  are_binary(t->values, (size_t)n * (size_t)c->count);
    if (!binary && wrong >= 0)
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.100s: line %d: \"%.30s\" in column %.40s, expected a number; "
                       "columns=NAME|NAME says which to learn",
                       what, lines[wrong], cn_plain_text(rows[wrong][column], plain, sizeof plain),
                       c->names[column]);
    if (is_asked(request, CN_TASK_MULTI_LABEL) && !binary)
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.120s: task=multi-label wants columns of 0 and 1, found other numbers",
                       what);
    t->task = CN_TASK_REGRESSION;
    return binary ? settle_binary(t, n, request, what, err) : CN_OK;
}

/* ---- Labels between bars */

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Cuts a copy of a text at its bars; blanks around a name are no part of it. The names that are not
 * empty go to names[0..], their number is returned. */
static int cut(char *text, const char **names)
{
    int count = 0;
    for (char *at = text; at;) {
        char *next = strchr(at, '|');
        if (next) *next++ = 0;
        while (*at == ' ') at++;
        size_t length = strlen(at);
        while (length > 0 && at[length - 1] == ' ') at[--length] = 0;
        if (length > 0) names[count++] = at;
        at = next;
    }
    return count;
}

/* What stands between labels: bars, or commas in lists as Python writes them, ['a', 'b']; where
 * there are several of them for sure, also the first of these that there is. 0 for none. */
static bool any_has(char *const *labels, int n, char c)
{
    while (n > 0)
        if (strchr(labels[--n], c)) return true;
    return false;
}

static char find_bar(char *const *labels, int n, bool sure)
{
    bool lists = any_has(labels, n, '[');
    for (int i = 0; i < n; i++) {
        size_t length = strlen(labels[i]);
        lists = lists && (!length || (labels[i][0] == '[' && labels[i][length - 1] == ']'));
    }
    const char *bar = "|;, ";
    while (*bar && !any_has(labels, n, *bar)) bar++;
    if (*bar == '|') return '|';
    if (lists) return '[';
    return !sure ? 0 : *bar ? *bar : '|';
}

/* The same with bars. */
static void put_bars(char *text, size_t size, char bar)
{
    for (size_t i = 0; i < size; i++) {
        if (text[i] == (bar == '[' ? ',' : bar)) text[i] = '|';
        if (bar == '[' && text[i] && strchr("[]'\"", text[i])) text[i] = ' ';
    }
}

/* Numbers in a list that are no labels: one-hot, with fractions, or as numpy prints them. */
static bool are_values(const char *const *names, int count)
{
    enum { NEAR = 64 };
    for (int i = 0; i < count; i++) {
        if (names[i][strspn(names[i], "0123456789+-. ")]) return false;
        if (strpbrk(names[i], ". ")) return true;
        for (int k = i > NEAR ? i - NEAR : 0; k < i; k++)
            if (strcmp(names[i], names[k]) == 0) return true;
    }
    return false;
}

static cn_status refuse_values(const char *label, const char *what, cn_error *err)
{
    return cn_fail(
        err, CN_ERR_FORMAT,
        "%.120s: \"%.60s\": expected a list of labels, found one of numbers, which want a "
        "column each",
        what, label);
}

/* All names, sorted, each once; the texts are copied into t->text. */
static cn_status list_names(cn_row_targets *t, char *const *labels, int n, char bar,
                            const char ***names, int *count, const char *what, cn_error *err)
{
    size_t bytes = 0, most, all = 0, kept = 0;
    for (int i = 0; i < n; i++) bytes += strlen(labels[i]) + 1;
    most = bytes; /* each has a letter, and ends */
    t->text = cn_allocate(bytes, 1, what, err);
    *names = t->text ? cn_allocate(most, sizeof **names, what, err) : NULL;
    if (!*names) return CN_ERR_MEMORY;
    char *at = t->text;
    for (int i = 0; i < n; i++) {
        size_t length = strlen(labels[i]) + 1;
        memcpy(at, labels[i], length);
        put_bars(at, length, bar);
        int here = cut(at, *names + all);
        if (bar == '[' && are_values(*names + all, here))
            return refuse_values(labels[i], what, err);
        all += (size_t)here;
        at += length;
    }
    qsort(*names, all, sizeof **names, compare);
    for (size_t i = 0; i < all; i++)
        if (i == 0 || strcmp((*names)[i], (*names)[kept - 1]) != 0) (*names)[kept++] = (*names)[i];
    *count = (int)kept;
    if (kept > 0 && kept <= MOST_TARGETS) return CN_OK;
    return cn_fail(err, CN_ERR_FORMAT, "%.120s: %zu different labels, expected 1 to %d", what, kept,
                   (int)MOST_TARGETS);
}

/* Marks the names of each text; its copy lies in t->text, cut already. */
static void mark(cn_row_targets *t, char *const *labels, int n)
{
    const char *at = t->text;
    for (int i = 0; i < n; i++) {
        const char *end = at + strlen(labels[i]);
        float *row = t->values + (size_t)i * (size_t)t->count;
        while (at <= end) {
            while (*at == ' ') at++;
            const char **found =
                bsearch(&at, t->names, (size_t)t->count, sizeof *t->names, compare);
            if (found) row[found - t->names] = 1;
            at += strlen(at);
            while (at < end && !at[0]) at++;
            if (at >= end) break;
        }
        at = end + 1;
    }
}

static cn_status read_bars(cn_row_targets *t, char *const *labels, int n, char bar,
                           const char *what, cn_error *err)
{
    const char **names = NULL;
    int count = 0;
    cn_status status = list_names(t, labels, n, bar, &names, &count, what, err);
    if (status == CN_OK) status = make_room(t, n, count, what, err);
    if (status == CN_OK) {
        memcpy((void *)t->names, names, (size_t)count * sizeof *names);
        mark(t, labels, n);
        t->task = CN_TASK_MULTI_LABEL;
        size_t ones = 0,
               values = (size_t)n * (size_t)count; /* [0, 1] and [1, 0] are one-hot, too */
        while (ones < values && t->values[ones] == 1) ones++;
        if (bar == '[' && count == 2 && ones == values && !strcmp(names[0], "0"))
            status = refuse_values(labels[0], what, err);
    }
    cn_release((void *)names);
    return status;
}

/* ---- A column of numbers */

static cn_status read_numbers(cn_row_targets *t, char *const *labels, const int *lines, int n,
                              const char *name, const char *what, cn_error *err)
{
    double value;
    char plain[40];
    cn_status status = make_room(t, n, 1, what, err);
    if (status != CN_OK) return status;
    t->task = CN_TASK_REGRESSION;
    t->names[0] = name;
    for (int i = 0; i < n; i++) {
        if (!is_finite_number(labels[i], &value))
            return cn_fail(err, CN_ERR_FORMAT, "%.100s: line %d: \"%.30s\", expected a number",
                           what, lines[i], cn_plain_text(labels[i], plain, sizeof plain));
        t->values[i] = (float)value;
    }
    return CN_OK;
}

/* All of them numbers, and any with a fraction? */
static bool have_fractions(char *const *labels, int n)
{
    bool any = false;
    double value;
    for (int i = 0; i < n; i++) {
        if (!is_finite_number(labels[i], &value)) return false;
        any = any || value != floor(value);
    }
    return any;
}

cn_status cn_row_targets_of_labels(cn_row_targets *t, char *const *labels, const int *lines, int n,
                                   const char *name, char separator, const cn_request *request,
                                   const char *what, cn_error *err)
{
    const bool several = is_asked(request, CN_TASK_MULTI_LABEL);
    bool percent = false;
    if (is_asked(request, CN_TASK_CLASSIFICATION)) return CN_OK;
    if (!several) {
        cn_status status = cn_csv_take_marks(labels, n, separator, &percent, request->remarks, err);
        if (status != CN_OK) return status;
    }
    if (is_asked(request, CN_TASK_REGRESSION))
        return read_numbers(t, labels, lines, n, name, what, err);
    char bar = find_bar(labels, n, several);
    if (bar) {
        cn_status status = read_bars(t, labels, n, bar, what, err);
        return status != CN_OK || bar == '|' || bar == '['
                   ? status
                   : cn_remark(request->remarks, err, "labels end at each \"%c\"", bar);
    }
    if (!percent && !have_fractions(labels, n)) return CN_OK;
    cn_status status = read_numbers(t, labels, lines, n, name, what, err);
    return status == CN_OK ? cn_remark(request->remarks, err,
                                       "the labels are numbers %s, to be learned as such; "
                                       "task=classification makes classes of them",
                                       percent ? "in percent" : "with fractions")
                           : status;
}
