/* backends.c - the table of backends: one row per machine. */
#include "backends/backend.h"

#include <stdio.h>
#include <string.h>

const cn_backend *const cn_backends[] = {&cn_cpu_backend, &cn_reference_backend, NULL};

cn_status cn_backend_find(const char *name, const cn_backend **backend, cn_error *err)
{
    char known[96] = "";
    size_t used = 0;
    for (int i = 0; cn_backends[i]; i++) {
        if (!name || strcmp(name, cn_backends[i]->name) == 0) {
            *backend = cn_backends[i];
            return CN_OK;
        }
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i > 0 ? " or " : "",
                                 cn_backends[i]->name);
        if (used >= sizeof known) used = sizeof known - 1;
    }
    return cn_fail(err, CN_ERR_ARGUMENT, "session: no backend is called \"%.60s\", expected %s",
                   name, known);
}

int cn_optimizer_state_blocks(const cn_optimizer *o)
{
    switch (o->kind) {
    case CN_OPTIMIZER_SGD: return o->momentum > 0;
    case CN_OPTIMIZER_RMSPROP: return o->momentum > 0 ? 2 : 1;
    default: return 2;
    }
}
