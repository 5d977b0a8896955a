/*
 * same.c - that all ranks begin alike: the same library, model, data, options and checkpoint.
 *
 * Everything that a training depends on or remembers is in its list of state (model/state.h), data
 * as digests. Each item becomes a digest, FNV-1a over its bytes, and all ranks compare them.
 */
#include "train/shards.h"

#include <string.h>

typedef struct digests {
    uint64_t library, isa, parameters, items[CN_STATE_MOST];
} digests;

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t n)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text)
{
    return text ? hash_bytes(hash, text, strlen(text) + 1) : hash;
}

static uint64_t hash_item(uint64_t hash, const cn_state_item *item, const cn_model *model)
{
    switch (item->kind) {
    case CN_STATE_INT: return hash_bytes(hash, item->value, sizeof(int));
    case CN_STATE_COUNT:
    case CN_STATE_DIGEST: return hash_bytes(hash, item->value, sizeof(uint64_t));
    case CN_STATE_NUMBER: return hash_bytes(hash, item->value, sizeof(double));
    case CN_STATE_FLAG: return hash_bytes(hash, item->value, sizeof(bool));
    case CN_STATE_TEXT: return hash_text(hash, *(const char *const *)item->value);
    case CN_STATE_FLOATS: return hash_bytes(hash, item->value, item->count * sizeof(float));
    case CN_STATE_TRAINED:
        return hash_bytes(hash, item->value, model->trained_size * cn_dtype_size(item->dtype));
    case CN_STATE_BLOCK:
        return hash_bytes(hash, item->value, model->block_size * cn_dtype_size(item->dtype));
    }
    return hash;
}

static void find_digests(const cn_model *model, const cn_state *state, digests *d)
{
    const uint64_t basis = UINT64_C(14695981039346656037);
    memset(d, 0, sizeof *d);
    d->library = hash_text(basis, cn_source_digest);
    d->isa = hash_text(basis, cn_isa());
    d->parameters = hash_bytes(basis, model->block, model->block_size * sizeof *model->block);
    for (int i = 0; i < state->count && i < CN_STATE_MOST; i++)
        d->items[i] = hash_item(basis, &state->items[i], model);
}

/* The first thing in which two ranks differ, or NULL. */
static const char *difference(const digests *a, const digests *b, const cn_state *state)
{
    if (a->library != b->library) return "the library's sources, so it is another build";
    if (a->isa != b->isa) return "the instruction set (CONVNET_ISA=avx2, say, fixes one)";
    for (int i = 0; i < state->count && i < CN_STATE_MOST; i++)
        if (a->items[i] != b->items[i]) return state->items[i].name;
    return a->parameters != b->parameters ? "the model's parameters" : NULL;
}

cn_status cn_group_check_same(cn_group *g, const cn_model *model, const cn_state *state,
                              cn_error *err)
{
    if (g->size == 1) return CN_OK;
    digests *all = cn_allocate((size_t)g->size, sizeof *all, "fit: ranks", err);
    cn_status status = cn_group_agree(g, all ? CN_OK : CN_ERR_MEMORY, err);
    if (status == CN_OK) {
        find_digests(model, state, &all[g->rank]);
        status = cn_group_gather(g, sizeof *all, all, err);
    }
    for (int r = 1; status == CN_OK && r < g->size; r++) {
        const char *what = difference(&all[0], &all[r], state);
        if (what)
            status = cn_fail(err, CN_ERR_ARGUMENT, "fit: rank %d does not begin like rank 0: %s", r,
                             what);
    }
    cn_release(all);
    return status;
}
