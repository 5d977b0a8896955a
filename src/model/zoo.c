/* zoo.c - networks with a name: one row each, written in the text form that everybody may use. */
#include "model/zoo.h"

#include <stddef.h>
#include <string.h>

typedef struct zoo_entry {
    const char *name, *text, *layers;
} zoo_entry;

static const zoo_entry zoo[] = {
    {"lenet5", "LeNet-5 (LeCun et al. 1998) with ReLU and maximum pooling, for 28 x 28 digits",
     "conv 6 5x5 same, relu, maxpool 2, conv 16 5x5, relu, maxpool 2, "
     "dense 120, relu, dense 84, relu, dense classes"},
    {"signs", "the course's network for 64 x 64 hand signs",
     "conv 8 4x4 same, relu, maxpool 8 same, conv 16 2x2 same, relu, maxpool 4 same, "
     "flatten, dense classes"},
    {"digits", "a small network for the embedded 8 x 8 digits",
     "conv 16 3x3 same, relu, conv 32 3x3 same, relu, maxpool 2, dense 64, relu, dense classes"},
};

enum { ZOO_SIZE = sizeof zoo / sizeof *zoo };

const char *cn_zoo_name(int i)
{
    return i >= 0 && i < ZOO_SIZE ? zoo[i].name : NULL;
}

const char *cn_zoo_text(int i)
{
    return i >= 0 && i < ZOO_SIZE ? zoo[i].text : NULL;
}

const char *cn_zoo_layers(int i)
{
    return i >= 0 && i < ZOO_SIZE ? zoo[i].layers : NULL;
}

const char *cn_zoo_find(const char *name)
{
    for (int i = 0; i < ZOO_SIZE; i++)
        if (strcmp(zoo[i].name, name) == 0) return zoo[i].layers;
    return NULL;
}
