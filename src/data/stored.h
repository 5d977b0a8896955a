/*
 * stored.h - images whose values lie in files as they are, one image after the other: a source of
 * samples (samples.h) that reads an image's bytes when it is asked for.
 *
 * They are read by pread and not mapped into memory: a file that shrinks would end the process by
 * SIGBUS, and so it is an error. The files stay open, so that one whose name vanishes can still be
 * read; one that has been written to since is an error, as its values are others.
 */
#ifndef CN_STORED_H
#define CN_STORED_H

#include "data/dataset.h"
#include "formats/array.h"

/* How the values lie there, and what they become. */
typedef struct cn_stored_form {
    cn_element element;
    bool swapped;        /* in the other order of bytes */
    bool channels_first; /* (n_C, n_H, n_W), which become (n_H, n_W, n_C) */
    size_t stride;       /* from an image to the next, in bytes; 0: no gaps */
    int shape[3];        /* (n_H, n_W, n_C) */
    cn_dtype dtype;      /* U8, then every value is of 0 to 255 and whole; or F32 */
    double low, high;    /* F32: v becomes (v - low) / (high - low), where they differ */
    const uint8_t *map;  /* U8: v becomes map[v], and 256 numbers are copied; NULL: v stays */
} cn_stored_form;

typedef struct cn_stored cn_stored;

cn_status cn_stored_create(cn_stored **stored, const cn_stored_form *form, cn_error *err);
/* `count` images more, the first of which begins at byte `offset` of a file. */
cn_status cn_stored_add(cn_stored *stored, const char *path, size_t offset, int count,
                        cn_error *err);
void cn_stored_free(cn_stored *stored);

/* The least and the largest of all values as they lie there, which are whole numbers. */
cn_status cn_stored_ends(const cn_stored *stored, double *least, double *most, cn_error *err);
/* The first value that is not of 0 to 255, or else the last: its number, and itself. */
cn_status cn_stored_find_large(const cn_stored *stored, size_t *number, double *value,
                               cn_error *err);
/* Which of 0 to 255 there are, all of which are whole; an error where there are others. */
cn_status cn_stored_values(const cn_stored *stored, bool present[256], const char *what,
                           cn_error *err);

/*
 * Samples of all images, which take the source over, also on failure: each is read once, for its
 * sums (cn_samples_look) and the cache of `memory` bytes. `what` stands for the set in errors.
 */
cn_status cn_stored_samples(cn_samples **samples, cn_stored *stored, size_t memory,
                            const cn_request *request, const char *what, cn_error *err);

#endif
