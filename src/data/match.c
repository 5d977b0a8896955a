/*
 * match.c - a set's classes brought into the order of a model's, by their names.
 *
 * The names decide. Where none of the set's is among the model's, and one of the two has only
 * numbers for names, as sets of arrays have, the order decides.
 */
#include "data/dataset.h"
#include "model/model.h"

#include <stdio.h>
#include <string.h>

/* The model's name of class i, or its number in `number` where it has none. */
enum { NUMBER = 24 };
static const char *model_name(const cn_model *model, int i, char number[NUMBER])
{
    const char *name = cn_model_class_name(model, i);
    if (name) return name;
    snprintf(number, NUMBER, "%d", i);
    return number;
}

static bool is_number(const char *name, int i)
{
    char number[NUMBER];
    snprintf(number, NUMBER, "%d", i);
    return strcmp(name, number) == 0;
}

static bool has_numbers(const cn_dataset *data)
{
    for (int i = 0; i < cn_dataset_classes(data); i++)
        if (!is_number(cn_dataset_class_name(data, i), i)) return false;
    return true;
}

static bool model_has_numbers(const cn_model *model)
{
    char number[NUMBER];
    for (int i = 0; i < cn_model_answers(model); i++)
        if (!is_number(model_name(model, i, number), i)) return false;
    return true;
}

/* The model's class of this name, or -1. `likely` is looked at first: lists are mostly in the same order,
 * and may have tens of thousands of names. */
static int find_class(const cn_model *model, const char *name, int likely)
{
    char number[NUMBER];
    int total = cn_model_answers(model);
    if (likely < total && strcmp(name, model_name(model, likely, number)) == 0) return likely;
    int i = total - 1;
    while (i >= 0 && strcmp(name, model_name(model, i, number)) != 0) i--;
    return i;
}

int cn_dataset_map_classes(const cn_dataset *data, const cn_model *model, int *map)
{
    int classes = cn_dataset_classes(data), total = cn_model_answers(model), lacking = 0;
    int likely = 0; /* the one behind that which was found last */
    for (int i = 0; i < classes; i++) {
        map[i] = find_class(model, cn_dataset_class_name(data, i), likely);
        if (map[i] >= 0) likely = map[i] + 1;
        lacking += map[i] < 0;
    }
    bool ordered =
        (has_numbers(data) && classes <= total) || (model_has_numbers(model) && classes == total);
    if (lacking < classes || !ordered) return lacking;
    for (int i = 0; i < classes; i++) map[i] = i;
    return 0;
}

/* "cat, dog, ..." of the first names that have room. */
enum { LIST = 88 };
typedef struct name_list {
    char text[LIST];
    bool full;
} name_list;

static void add_name(name_list *list, const char *name)
{
    size_t used = strlen(list->text), length = strlen(name);
    if (list->full) return;
    list->full = used > 0 && used + length + 8 > LIST;
    snprintf(list->text + used, LIST - used, "%s%.40s", used ? ", " : "",
             list->full ? "..." : name);
}

static cn_status none_in_common(const cn_dataset *data, const cn_model *model, cn_error *err)
{
    char number[NUMBER];
    name_list mine = {.text = ""}, theirs = {.text = ""};
    for (int i = 0; i < cn_dataset_classes(data); i++)
        add_name(&theirs, cn_dataset_class_name(data, i));
    for (int i = 0; i < cn_model_answers(model); i++) add_name(&mine, model_name(model, i, number));
    return cn_fail(err, CN_ERR_ARGUMENT,
                   "the model's classes are %s; none of them is in the data, which has %s",
                   mine.text, theirs.text);
}

/* Says which classes the model does not have, and how many images that concerns. */
static cn_status say_lacking(const cn_dataset *data, const int *map, cn_remarks *remarks,
                             cn_error *err)
{
    name_list list = {.text = ""};
    int images = 0, lacking = 0;
    for (int i = 0; i < cn_dataset_classes(data); i++) {
        if (map[i] >= 0) continue;
        add_name(&list, cn_dataset_class_name(data, i));
        lacking++;
    }
    for (int i = 0; i < cn_dataset_size(data); i++) images += map[cn_dataset_label(data, i)] < 0;
    return cn_remark(
        remarks, err, "the model does not have the class%s %s: %d image%s count%s as wrong",
        lacking == 1 ? "" : "es", list.text, images, cn_plural(images), images == 1 ? "s" : "");
}

/* Pixels that count as wrong would make nothing of the figures. */
static cn_status lack_of_masks(const cn_dataset *data, const int *map, cn_error *err)
{
    int i = 0;
    while (map[i] >= 0) i++;
    return cn_fail(err, CN_ERR_ARGUMENT,
                   "the masks have the class %.80s, which the model does not have",
                   cn_dataset_class_name(data, i));
}

/* One label or number that the model lacks, or that the data do, would leave a column of targets
 * without an answer. */
static cn_status lack_of_targets(const cn_dataset *data, const cn_model *model, const int *map,
                                 cn_error *err)
{
    const char *what = cn_dataset_task(data) == CN_TASK_MULTI_LABEL ? "label" : "number";
    int i = 0, classes = cn_dataset_classes(data);
    while (i < classes && map[i] >= 0) i++;
    if (i < classes)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "the data have the %s %.80s, which the model does not have", what,
                       cn_dataset_class_name(data, i));
    return cn_fail(err, CN_ERR_ARGUMENT, "the model has %d %ss, the data %d",
                   cn_model_answers(model), what, classes);
}

/* A model that was trained, or made, for another task. */
static cn_status check_task(const cn_dataset *data, const cn_model *model, cn_error *err)
{
    static const char *const tasks[] = {
        [CN_TASK_CLASSIFICATION] = "a class per image",
        [CN_TASK_SEGMENTATION] = "a class per pixel",
        [CN_TASK_MULTI_LABEL] = "several labels per image",
        [CN_TASK_REGRESSION] = "numbers",
    };
    cn_task_kind mine = cn_model_task(model), theirs = cn_dataset_task(data);
    if (mine == theirs || (!cn_task_has_targets(mine) && !cn_task_has_targets(theirs)))
        return CN_OK;
    return cn_fail(err, CN_ERR_ARGUMENT, "the model gives %s, the data have %s", tasks[mine],
                   tasks[theirs]);
}

/* The model's classes, then those that it lacks, which `map` then has numbers for, too. */
static void list_names(const char **names, const cn_dataset *data, const cn_model *model, int *map,
                       char (*numbers)[NUMBER])
{
    int total = cn_model_answers(model);
    bool numbered = has_numbers(data);
    for (int i = 0; i < total; i++) names[i] = model_name(model, i, numbers[i]);
    for (int i = 0; i < cn_dataset_classes(data); i++) {
        bool lacking = map[i] < 0;
        if (lacking) map[i] = total++;
        /* Where the order decides, one side has names. */
        if (lacking || !numbered) names[map[i]] = cn_dataset_class_name(data, i);
    }
}

cn_status cn_dataset_match_classes(cn_dataset *data, const cn_model *model, cn_error *err)
{
    if (!data || !model) return cn_fail(err, CN_ERR_ARGUMENT, "dataset: NULL argument");
    int classes = cn_dataset_classes(data), known = cn_model_answers(model);
    size_t most = (size_t)known + (size_t)classes;
    int *map = cn_allocate((size_t)classes, sizeof *map, "classes", err);
    const char **names = cn_allocate(most, sizeof *names, "classes", err);
    char(*numbers)[NUMBER] = cn_allocate(most, sizeof *numbers, "classes", err);
    cn_status status = map && names && numbers ? check_task(data, model, err) : CN_ERR_MEMORY;
    int lacking = status == CN_OK ? cn_dataset_map_classes(data, model, map) : 0;
    if (status == CN_OK && lacking == classes) status = none_in_common(data, model, err);
    if (status == CN_OK && cn_dataset_targets(data) && (lacking > 0 || classes != known))
        status = lack_of_targets(data, model, map, err);
    if (status == CN_OK && lacking > 0 && cn_dataset_masks(data))
        status = lack_of_masks(data, map, err);
    if (status == CN_OK && lacking > 0)
        status = say_lacking(data, map, cn_dataset_remarks_of(data), err);
    if (status == CN_OK) {
        list_names(names, data, model, map, numbers);
        status = cn_dataset_rename_classes(data, map, known, known + lacking, names, err);
    }
    cn_release(map);
    cn_release(names);
    cn_release(numbers);
    return status;
}
