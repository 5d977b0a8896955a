/* recipe.h - trainings with a name, for `convnet train --recipe`. */
#ifndef RECIPE_H
#define RECIPE_H

#include "cli.h"

/* The recipe's arguments with those given behind them, which thus have the last word; how many, or
 * -1 after an error was printed. The caller frees the list. */
int cli_recipe_arguments(const char *name, const cli_common *given, char ***arguments);

#endif
