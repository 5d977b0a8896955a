/* shard_training.h - what test_shards.c and test_ranks.c train, and on what. */
#ifndef TEST_SHARD_TRAINING_H
#define TEST_SHARD_TRAINING_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "files.h"
#include "model/model.h"

enum { SHARDS = 8, BATCH = 16, IMAGES = 75, VALID = 30 };

typedef struct fixture {
    char folder[FILES_PATH], file[FILES_PATH];
    cn_dataset *data, *valid;
} fixture;

static inline int set_up(void **state)
{
    static fixture f;
    cn_dataset *all = NULL;
    files_make_folder(f.folder);
    files_join(f.file, f.folder, "a.checkpoint");
    assert_int_equal(cn_dataset_load(&all, "digits", CN_SUBSET_TEST, NULL, NULL), CN_OK);
    assert_int_equal(cn_dataset_slice(&f.data, all, 0, IMAGES, NULL), CN_OK);
    assert_int_equal(cn_dataset_slice(&f.valid, all, IMAGES, VALID, NULL), CN_OK);
    cn_dataset_free(all);
    *state = &f;
    return 0;
}

static inline int tear_down(void **state)
{
    fixture *f = *state;
    files_remove_folder(f->folder);
    cn_dataset_free(f->data);
    cn_dataset_free(f->valid);
    return 0;
}

static inline cn_model *network(void)
{
    cn_model *model = NULL;
    cn_error err;
    if (cn_model_parse(&model,
                       "conv 6 3x3 same, batchnorm, relu, maxpool 2, dropout 0.2, conv 8 3x3 same, "
                       "batchnorm, relu, dense classes",
                       (int[]){8, 8, 1}, 10, 3, &err) != CN_OK)
        fail_msg("%s", err.text);
    return model;
}

static inline cn_fit_opts options(const fixture *f)
{
    return (cn_fit_opts){.epochs = 2,
                         .batch = BATCH,
                         .shards = SHARDS,
                         .threads = 1,
                         .seed = 4,
                         .learning_rate = 0.01,
                         .valid = f->valid};
}

static inline void assert_same(const cn_model *a, const cn_model *b)
{
    assert_int_equal(a->block_size, b->block_size);
    assert_memory_equal(a->block, b->block, a->block_size * sizeof *a->block);
}

#endif
