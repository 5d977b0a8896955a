/* layers.c - the tables of layers, from CN_LAYER_MAP: what each is, and how the CPU computes it. */
#include "layers/layer.h"

#include <string.h>

#define TYPE_ROW(name) &cn_##name##_type,
static const cn_layer_type *const types[] = {CN_LAYER_MAP(TYPE_ROW)};

#define CPU_ROW(name) &cn_##name##_cpu,
static const cn_layer_ops *const cpu_ops[] = {CN_LAYER_MAP(CPU_ROW)};

enum { TYPES = sizeof types / sizeof *types };

const cn_layer_type *cn_layer_type_at(int i)
{
    return i < TYPES ? types[i] : cn_activation_types[i - TYPES];
}

const cn_layer_type *cn_layer_type_find(const char *name)
{
    const cn_layer_type *type;
    for (int i = 0; (type = cn_layer_type_at(i)); i++)
        if (strcmp(name, type->name) == 0 || (type->word && strcmp(name, type->word) == 0))
            return type;
    return NULL;
}

const cn_layer_ops *cn_layer_cpu_ops(const cn_layer_type *type)
{
    const cn_layer_type *row;
    for (int i = 0; (row = cn_layer_type_at(i)); i++)
        if (strcmp(type->name, row->name) == 0) return i < TYPES ? cpu_ops[i] : &cn_activation_cpu;
    return NULL;
}
