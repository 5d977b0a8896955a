/* weights_match.c - which tensor of another framework's file is which parameter: see weights.h. */
#include "formats/channels_first.h"
#include "formats/weights.h"

#include <stdlib.h>
#include <string.h>

/* ---- names */

/* What a parameter is to its layer: ours, PyTorch's and Keras's words for it. */
static const char *const roles[][6] = {
    {"weight", "kernel", "gamma", "depthwise_kernel", NULL},
    {"bias", "beta", NULL},
    {"running_mean", "moving_mean", NULL},
    {"running_var", "moving_variance", NULL},
};
enum { ROLES = sizeof roles / sizeof *roles };

static bool same_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && strncmp(text, word, length) == 0;
}

static int find_role(const char *word, size_t length)
{
    for (int role = 0; role < ROLES; role++)
        for (int i = 0; roles[role][i]; i++)
            if (same_word(word, length, roles[role][i])) return role;
    return -1;
}

/* Where the part of a name that is before its last one ends, and where the last one begins. */
static size_t split(const char *name, size_t length, size_t *last)
{
    size_t at = length;
    while (at > 0 && name[at - 1] != '.' && name[at - 1] != '/') at--;
    *last = at;
    return at > 0 ? at - 1 : 0;
}

static int digits(const char *text, size_t *at, size_t length)
{
    int value = 0;
    for (; *at < length && cn_is_digit(text[*at]); ++*at)
        if (value < 100000000) value = 10 * value + (text[*at] - '0');
    return value;
}

/* Numbers count as numbers, and nothing comes before anything: "conv2d", "conv2d_2", "conv2d_10".
 */
static int compare_names(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t i = 0, j = 0;
    while (i < a_length && j < b_length) {
        if (cn_is_digit(a[i]) && cn_is_digit(b[j])) {
            int x = digits(a, &i, a_length), y = digits(b, &j, b_length);
            if (x != y) return x < y ? -1 : 1;
        } else if (a[i] != b[j]) {
            return (unsigned char)a[i] < (unsigned char)b[j] ? -1 : 1;
        } else {
            i++;
            j++;
        }
    }
    return (i < a_length) - (j < b_length);
}

/* ---- modules */

/* Layers of one kind are paired in order. */
typedef enum kind { CONVOLUTION, DEPTHWISE, TRANSPOSED, DENSE, BATCH_NORM, NORM, KINDS } kind;

enum { MOST_PARTS = 4 };

/* The tensors of the file, or the parameters of the model, that make a layer. */
typedef struct module {
    const char *name;
    size_t length;
    kind kind;
    bool numbered;         /* parts are counted from 0, not named by roles */
    int parts[MOST_PARTS]; /* by role, or by number; -1: none */
} module;

static bool contains(const module *m, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i + length <= m->length; i++)
        if (strncmp(m->name + i, word, length) == 0) return true;
    return false;
}

static kind kind_of_layer(const cn_layer *layer, cn_weight_style style)
{
    const cn_layer_type *type = layer->type;
    if (type == &cn_batch_norm_type) return BATCH_NORM;
    if (type == &cn_dense_type) return DENSE;
    if (type == &cn_layer_norm_type || type == &cn_group_norm_type || type == &cn_affine_type ||
        type == &cn_constant_type)
        return NORM;
    if (style == CN_STYLE_KERAS && type == &cn_depthwise_conv2d_type) return DEPTHWISE;
    if (style == CN_STYLE_KERAS && type == &cn_conv_transpose2d_type) return TRANSPOSED;
    return CONVOLUTION;
}

static kind kind_of_module(const module *m, const cn_weight_file *file)
{
    const bool keras = file->style == CN_STYLE_KERAS;
    const int first = m->parts[0];
    const int rank = first >= 0 ? file->tensors[first].value.rank : 1;
    if (m->numbered ? contains(m, "batch_normalization") : m->parts[2] >= 0) return BATCH_NORM;
    if (rank == 4 && keras && contains(m, "depthwise")) return DEPTHWISE;
    if (rank == 4 && keras && contains(m, "transpose")) return TRANSPOSED;
    return rank == 4 ? CONVOLUTION : rank == 2 ? DENSE : NORM;
}

/* The module's name and the part of a tensor; -1 where its name ends in no known word. */
static int locate(const char *name, size_t *length, bool *numbered)
{
    size_t whole = strlen(name), last, number, ignored = 0;
    if (whole > 2 && strcmp(name + whole - 2, ":0") == 0) whole -= 2; /* TensorFlow's output 0 */
    *length = split(name, whole, &last);
    *numbered = *length >= 4 && strncmp(name + *length - 4, "vars", 4) == 0;
    if (!*numbered) return find_role(name + last, whole - last);
    number = last;
    ignored = (size_t)digits(name, &number, whole);
    *length = split(name, *length, &last);
    return number == whole && ignored < MOST_PARTS ? (int)ignored : -1;
}

static int by_name(const void *a, const void *b)
{
    const module *x = a, *y = b;
    return compare_names(x->name, x->length, y->name, y->length);
}

/* A tensor's place: a module and a part of it. */
typedef struct place {
    module module;
    int part, tensor;
} place;

/* In the modules' order; those of one module are neighbors. */
static int by_module(const void *a, const void *b)
{
    const place *x = a, *y = b;
    int order = by_name(&x->module, &y->module);
    size_t shorter = x->module.length < y->module.length ? x->module.length : y->module.length;
    if (order == 0) order = memcmp(x->module.name, y->module.name, shorter);
    if (order == 0) order = (x->module.length > shorter) - (y->module.length > shorter);
    return order ? order : x->tensor - y->tensor;
}

/* The file's modules, in order; `places` has room for its tensors. */
static int list_modules(const cn_weight_file *file, place *places, module *modules)
{
    int found = 0, count = 0;
    for (int i = 0; i < file->count; i++) {
        place *p = &places[found];
        *p = (place){.module = {.name = file->tensors[i].name}, .tensor = i};
        p->part = locate(p->module.name, &p->module.length, &p->module.numbered);
        found += p->part >= 0;
    }
    qsort(places, (size_t)found, sizeof *places, by_module);
    for (int i = 0; i < found; i++) {
        const place *p = &places[i];
        module *m = count ? &modules[count - 1] : NULL;
        if (!m || m->length != p->module.length ||
            memcmp(m->name, p->module.name, m->length) != 0) {
            m = &modules[count++];
            *m = p->module;
            for (int k = 0; k < MOST_PARTS; k++) m->parts[k] = -1;
        }
        if (m->parts[p->part] < 0) m->parts[p->part] = p->tensor;
    }
    for (int i = 0; i < count; i++) modules[i].kind = kind_of_module(&modules[i], file);
    return count;
}

/* ---- pairing */

const cn_layer *cn_weights_layer(const cn_model *model, int i, int *k)
{
    for (int l = 0; l < model->layer_count; l++) {
        *k = i;
        if (i < model->layers[l].parameter_count) return &model->layers[l];
        i -= model->layers[l].parameter_count;
    }
    return NULL;
}

typedef struct pairing {
    const cn_model *model;
    const cn_weight_file *file;
    module *modules;
    int module_count, next[KINDS]; /* where the next module of each kind is looked for */
    cn_weight_pair *pairs;
    int count;
    bool *used; /* tensors */
} pairing;

static const module *next_module(pairing *p, kind wanted)
{
    int *i = &p->next[wanted];
    while (*i < p->module_count && p->modules[*i].kind != wanted) ++*i;
    return *i < p->module_count ? &p->modules[(*i)++] : NULL;
}

static void pair_layer(pairing *p, const cn_layer *layer)
{
    const module *m = next_module(p, kind_of_layer(layer, p->file->style));
    for (int k = 0; k < layer->parameter_count; k++) {
        const char *role = layer->parameters[k].role;
        int part = m && m->numbered ? k : find_role(role, strlen(role));
        int tensor = m && part >= 0 ? m->parts[part] : -1;
        p->pairs[p->count] = (cn_weight_pair){p->count, tensor};
        p->count++;
        if (tensor >= 0) p->used[tensor] = true;
    }
}

cn_status cn_weights_pair(const cn_model *model, const cn_weight_file *file, cn_weight_pair **pairs,
                          int *count, cn_error *err)
{
    const size_t tensors = (size_t)file->count;
    place *places = cn_allocate(tensors + 1, sizeof *places, "weights", err);
    pairing p = {.model = model, .file = file};
    cn_status status = CN_ERR_MEMORY;
    if (places) p.modules = cn_allocate(tensors + 1, sizeof *p.modules, "weights", err);
    if (p.modules) p.used = cn_allocate(tensors + 1, sizeof *p.used, "weights", err);
    if (p.used)
        p.pairs = cn_allocate(tensors + (size_t)model->parameter_count + 1, sizeof *p.pairs,
                              "weights", err);
    if (p.pairs) {
        p.module_count = list_modules(file, places, p.modules);
        for (int i = 0; i < model->layer_count; i++)
            if (model->layers[i].parameter_count > 0) pair_layer(&p, &model->layers[i]);
        for (int i = 0; i < file->count; i++)
            if (!p.used[i]) p.pairs[p.count++] = (cn_weight_pair){-1, i};
        *pairs = p.pairs;
        *count = p.count;
        status = CN_OK;
    }
    cn_release(places);
    cn_release(p.modules);
    cn_release(p.used);
    return status;
}

/* ---- layouts */

void cn_weights_shape(cn_weight_style style, const cn_layer *layer, int k,
                      const cn_shape *flattened, int axes[4], cn_shape *shape)
{
    const cn_shape *own = &layer->parameters[k].shape;
    if (style == CN_STYLE_PYTORCH) {
        cn_channels_first_shape(layer, k, flattened, axes, shape);
        return;
    }
    *shape = *own;
    if (layer->type == &cn_depthwise_conv2d_type && own->rank == 4) {
        shape->n[2] = layer->in.n[2]; /* (f_H, f_W, n_C_prev, multiplier): the same elements */
        shape->n[3] = own->n[3] / layer->in.n[2];
    }
}

cn_status cn_weights_order(const cn_model *model, cn_weight_style style, const cn_shape **order,
                           cn_error *err)
{
    if (!cn_flattened_order(model, order))
        return cn_fail(err, CN_ERR_MEMORY, "model: no memory for the order of its weights");
    for (int i = 1; i < model->layer_count && style == CN_STYLE_PYTORCH; i++) {
        const cn_layer *layer = &model->layers[i];
        bool several =
            layer->in.rank == 3 && layer->in.n[2] > 1 && (layer->in.n[0] > 1 || layer->in.n[1] > 1);
        if (layer->type == &cn_flatten_type && several && !order[i] && i != model->output)
            return cn_fail(err, CN_ERR_UNSUPPORTED,
                           "model: %.60s: PyTorch flattens images in another order, which can be "
                           "allowed for only where dense layers read them",
                           layer->name);
    }
    return CN_OK;
}
