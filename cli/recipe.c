/* recipe.c - trainings with a name: options that are known to work together. */
#include "recipe.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 24 };

/*
 * cifar10: Jordan, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU" (2024), for 45,000 images.
 * The rate is per image of the batch there; here, where the loss is the batch's mean, 1.5 is its
 * 11.5 / (1 + 1 / (1 - 0.85)), and the decay its 0.0153 x 1024 / 7851 / 1.5.
 */
static const struct {
    const char *name;
    struct {
        const char *option, *value; /* value NULL: a flag; option NULL behind the last */
    } arguments[MOST];
} recipes[] = {
    {"cifar10",
     {
         {"--model", "cifar-fast"},
         {"--whiten", "whiten"},
         {"--freeze", "whiten.*"},
         {"--epochs", "12"},
         {"--batch-size", "1024"},
         {"--optimizer", "sgd"},
         {"--momentum", "0.85"},
         {"--nesterov", NULL},
         {"--learning-rate", "1.5"},
         {"--weight-decay", "0.00133"},
         {"--bias-rate", "64"},
         {"--schedule", "one-cycle"},
         {"--rate-start", "0.2"},
         {"--rate-peak", "0.23"},
         {"--rate-end", "0.07"},
         {"--label-smoothing", "0.2"},
         {"--average", "lookahead"},
         {"--average-decay", "0.7737809375"},
         {"--average-every", "5"},
         {"--average-power", "3"},
         {"--augment", "flip=alternating crop=2 border=reflect"},
         {"--tta", "shift"},
     }},
    {"mnist",
     {
         {"--model", "mnist-fast"},
         {"--epochs", "8"},
         {"--batch-size", "128"},
         {"--optimizer", "sgd"},
         {"--nesterov", NULL},
         {"--learning-rate", "0.1"},
         {"--weight-decay", "0.0005"},
         {"--schedule", "one-cycle"},
         {"--label-smoothing", "0.1"},
         {"--augment", "rotate=10 shift=2 scale=0.1"},
         {"--average", "ema"},
         {"--average-decay", "0.995"},
     }},
    {"signs",
     {
         {"--model", "signs-fast"},
         {"--epochs", "60"},
         {"--batch-size", "32"},
         {"--optimizer", "sgd"},
         {"--nesterov", NULL},
         {"--learning-rate", "0.05"},
         {"--weight-decay", "0.0005"},
         {"--schedule", "one-cycle"},
         {"--label-smoothing", "0.1"},
         {"--augment", "rotate=15 shift=4 scale=0.15 jitter=0.2"},
         {"--validation-split", "0"},
     }},
};
enum { RECIPES = sizeof recipes / sizeof *recipes };

int cli_recipe_arguments(const char *name, const cli_common *given, char ***arguments)
{
    for (int i = 0; i < RECIPES; i++) {
        if (strcmp(recipes[i].name, name) != 0) continue;
        int count = 0;
        *arguments = calloc(2 * MOST + (size_t)given->argument_count, sizeof **arguments);
        if (!*arguments) return cli_error("train", "out of memory"), -1;
        for (int k = 0; recipes[i].arguments[k].option; k++) {
            const char *value = recipes[i].arguments[k].value;
            (*arguments)[count++] = (char *)(uintptr_t)recipes[i].arguments[k].option;
            if (value) (*arguments)[count++] = (char *)(uintptr_t)value;
        }
        for (int k = 0; k < given->argument_count; k++) (*arguments)[count++] = given->arguments[k];
        return count;
    }
    cli_error("train", "--recipe wants cifar10, mnist or signs, not \"%.60s\"", name);
    return -1;
}
