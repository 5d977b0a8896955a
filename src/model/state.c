/* state.c - the list of a training's state. */
#include "model/state.h"

static void add(cn_state *s, cn_state_item item)
{
    if (s->count < CN_STATE_MOST) s->items[s->count] = item;
    s->count++;
}

void cn_state_add(cn_state *s, const char *name, cn_state_kind kind, void *value)
{
    add(s, (cn_state_item){.name = name, .kind = kind, .value = value});
}

void cn_state_add_array(cn_state *s, const char *name, cn_state_kind kind, cn_dtype dtype,
                        void *value)
{
    add(s, (cn_state_item){.name = name, .kind = kind, .dtype = dtype, .value = value});
}

void cn_state_add_int(cn_state *s, const char *name, int *value, int least, int most)
{
    add(s, (cn_state_item){
               .name = name, .kind = CN_STATE_INT, .value = value, .least = least, .most = most});
}

void cn_state_term(cn_state *s, const char *name, cn_state_kind kind, const void *value)
{
    /* The list holds what is written to as well; a term never is. */
    add(s, (cn_state_item){
               .name = name, .kind = kind, .term = true, .value = (void *)(uintptr_t)value});
}

void cn_state_term_growing(cn_state *s, const char *name, const int *value)
{
    add(s, (cn_state_item){.name = name,
                           .kind = CN_STATE_INT,
                           .term = true,
                           .may_grow = true,
                           .value = (void *)(uintptr_t)value});
}

void cn_state_term_word(cn_state *s, const char *name, const void *value, const char *const *words)
{
    add(s, (cn_state_item){.name = name,
                           .kind = CN_STATE_INT,
                           .term = true,
                           .words = words,
                           .value = (void *)(uintptr_t)value});
}

void cn_state_term_floats(cn_state *s, const char *name, const float *values, size_t count)
{
    add(s, (cn_state_item){.name = name,
                           .kind = CN_STATE_FLOATS,
                           .term = true,
                           .value = (void *)(uintptr_t)values,
                           .count = count});
}

void cn_state_terms(cn_state *s, const cn_state_member *members, const void *base)
{
    for (; members->name; members++)
        cn_state_term(s, members->name, members->kind, (const char *)base + members->offset);
}
