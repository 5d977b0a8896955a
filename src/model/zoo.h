/* zoo.h - the named networks, for the text form. */
#ifndef CN_ZOO_H
#define CN_ZOO_H

#include "convnet.h"

/* The layers of the network with this name, or NULL. */
const char *cn_zoo_find(const char *name);

#endif
