/* kernels.c - which kernels run on this processor. */
#include "kernels/tables.h"

#include <stdlib.h>
#include <string.h>

/* Best first, ending in the one that always runs. */
static const cn_kernels *const tables[] = {
#ifdef CONVNET_HAVE_AVX512
    &cn_kernels_avx512,
#endif
#ifdef CONVNET_HAVE_AVX2
    &cn_kernels_avx2,
#endif
    &cn_kernels_scalar,
};

static bool runs_here(const cn_kernels *table)
{
#ifdef CONVNET_HAVE_AVX512
    if (table == &cn_kernels_avx512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
#endif
#ifdef CONVNET_HAVE_AVX2
    if (table == &cn_kernels_avx2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return table == &cn_kernels_scalar;
}

const cn_kernels *cn_kernels_named(const char *isa)
{
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        if (strcmp(tables[i]->isa, isa) == 0 && runs_here(tables[i])) return tables[i];
    return NULL;
}

const cn_kernels *cn_kernels_get(void)
{
    const char *asked = getenv("CONVNET_ISA");
    const cn_kernels *named = asked ? cn_kernels_named(asked) : NULL;
    if (named) return named;
    size_t i = 0;
    while (!runs_here(tables[i])) i++;
    return tables[i];
}

int cn_elementwise_find(const char *name)
{
    const cn_elementwise *rows = cn_kernels_scalar.elementwise;
    for (int kind = CN_ACTIVATION_NONE + 1; rows[kind].name; kind++)
        if (strcmp(rows[kind].name, name) == 0) return kind;
    return CN_ACTIVATION_NONE;
}

const cn_kernels *cn_kernels_with_bf16(const cn_kernels *k)
{
#ifdef CONVNET_HAVE_AVX512BF16
    if (k == &cn_kernels_avx512 && !__builtin_cpu_supports("avx512bf16"))
        return cn_kernels_named("avx2");
#endif
    return k;
}

const char *cn_isa(void)
{
    return cn_kernels_get()->isa;
}
