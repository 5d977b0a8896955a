/*
 * state.h - the state from which a training can resume with the same bits, as one list.
 *
 * Every part of a training names its arrays and numbers in one function, once. A checkpoint
 * (src/train/checkpoint.h) is written from the list and read back into it: what is written is what
 * is read, and no second place has to know. An item is one of two things:
 *
 *   state    what changes while it trains, such as a step count: written, and set when read
 *   a term   what must be as it was, such as the batch: written, and compared when read
 *
 * Randomness needs no item of its own: every draw is a function of seed, stream and index
 * (src/base/counter.h), and of those the seed is a term and the indices follow from the position.
 */
#ifndef CN_STATE_H
#define CN_STATE_H

#include "base/base.h"

typedef enum cn_state_kind {
    CN_STATE_INT,     /* int, or an enum */
    CN_STATE_COUNT,   /* uint64_t */
    CN_STATE_DIGEST,  /* uint64_t that stands for more than a number: a term only */
    CN_STATE_NUMBER,  /* double, which may be infinite or NaN */
    CN_STATE_FLAG,    /* bool */
    CN_STATE_TEXT,    /* const char *, NULL as "": a term only */
    CN_STATE_FLOATS,  /* `count` floats */
    CN_STATE_TRAINED, /* elements that lie as the model's trained parameters do: the optimizer's */
    CN_STATE_BLOCK,   /* elements that lie as all of its parameters do, buffers too: an average */
} cn_state_kind;

typedef struct cn_state_item {
    const char *name; /* "learning rate": in the file, and in the error about a term */
    cn_state_kind kind;
    bool term;
    cn_dtype dtype; /* of arrays */
    void *value;    /* read alone where it is a term */
    size_t count;
    int least, most;          /* INT, unless a term: a file that says otherwise is refused */
    bool may_grow;            /* INT, a term: what was written may be less */
    const char *const *words; /* INT, a term: written as one of these, the value counts them */
} cn_state_item;

enum { CN_STATE_MOST = 160 };

/* Zero it, add to it, and hand it to a checkpoint; it refers to what was added. */
typedef struct cn_state {
    cn_state_item items[CN_STATE_MOST];
    int count; /* may exceed CN_STATE_MOST: then something was left out, and no checkpoint takes it
                */
} cn_state;

/* State: a value of this kind, an int within these bounds. A name must not be used twice. */
void cn_state_add(cn_state *state, const char *name, cn_state_kind kind, void *value);
/* Of this type of element: TRAINED or BLOCK. */
void cn_state_add_array(cn_state *state, const char *name, cn_state_kind kind, cn_dtype dtype,
                        void *value);
void cn_state_add_int(cn_state *state, const char *name, int *value, int least, int most);

/* A term, and the terms that are members of a struct: a table that ends in a name NULL. */
typedef struct cn_state_member {
    const char *name;
    cn_state_kind kind; /* no floats */
    size_t offset;
} cn_state_member;
void cn_state_term(cn_state *state, const char *name, cn_state_kind kind, const void *value);
/* One that may be larger now; and one that is written as one of the words, for people to read. */
void cn_state_term_growing(cn_state *state, const char *name, const int *value);
void cn_state_term_word(cn_state *state, const char *name, const void *value,
                        const char *const *words);
void cn_state_term_floats(cn_state *state, const char *name, const float *values, size_t count);
void cn_state_terms(cn_state *state, const cn_state_member *members, const void *base);

#endif
