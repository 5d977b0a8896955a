/* paths.h - the files that a data set is made of: found, packed or not, and listed in order. */
#ifndef CN_PATHS_H
#define CN_PATHS_H

#include "base/base.h"

enum { CN_PATH_ROOM = 4096 };

/* "dir/name"; false where that has no room. */
bool cn_path_join(char path[CN_PATH_ROOM], const char *dir, const char *name);

/* Is there a folder, or a link to one? */
bool cn_is_folder(const char *path);

/* What systems and archives leave in folders beside the data: Thumbs.db, desktop.ini, __MACOSX. */
bool cn_is_litter(const char *name);

/* Does a path end so, or so and in .gz or .xz? In small or capital letters. */
bool cn_path_ends_in(const char *path, const char *ending);
/* The length of a path without .gz or .xz at its end. */
size_t cn_path_unpacked(const char *path);

/* The path of dir/name, dir/name.gz or dir/name.xz, the first that there is; false for none. Some archives
 * have a file in a folder of its own name. */
bool cn_path_find(char path[CN_PATH_ROOM], const char *dir, const char *name);

/* Where the options of a spec begin: ",size=64x64,channels=1" at its end, or the end itself. A
 * comma may be part of a path; an equals sign behind it, and no slash, tells an option. */
const char *cn_spec_options(const char *spec);

/* Which part of a set a name speaks of: train, test, or a word for validation stands in it, in
 * small or capital letters. */
typedef enum cn_said {
    CN_SAYS_TRAIN = CN_SUBSET_TRAIN,
    CN_SAYS_TEST = CN_SUBSET_TEST,
    CN_SAYS_VALIDATION = CN_SUBSET_VALIDATION,
    CN_SAYS_NOTHING
} cn_said;
cn_said cn_name_says(const char *name);
/* The same of the last part of a path. */
cn_said cn_path_says(const char *path);
/* The same where the name is such a word and nothing else: training, Test, val. */
cn_said cn_name_is(const char *name);
/* The file beside it whose name says `wanted` in place of its own word: train_signs.h5 and
 * test_signs.h5. False where there is none. */
bool cn_path_sibling(char sibling[CN_PATH_ROOM], const char *path, cn_said wanted);

/* Does a name have this word, or any of a list that ends in NULL, in small or capital letters? Words
 * stand between what is neither a letter nor a digit, or begin at a capital letter. */
bool cn_name_has(const char *name, const char *word);
bool cn_name_has_any(const char *name, const char *const *list);

/* Makes room for one more element in `*(T **)array`, which has `count` of `size` bytes, and *room at
 * least. `what` stands for it in errors, after which the array is as before. */
cn_status cn_array_grow(void *array, size_t size, int count, int *room, const char *what,
                        cn_error *err);

/* A copy of a name, of which there may be a hundred thousand: without the room that cn_allocate leaves
 * around a block. To be freed by cn_release; NULL: CN_ERR_MEMORY. */
char *cn_name_copy(const char *name, cn_error *err);

/* Names in a folder, in the order of their bytes: the same on every file system. */
typedef struct cn_names {
    char **names;
    int count;
} cn_names;

/* Those that are `wanted` (all with NULL), but for names that begin with a dot. */
cn_status cn_names_list(cn_names *names, const char *dir, bool (*wanted)(const char *name),
                        cn_error *err);
/* All files below a folder, at any depth, by their paths below it and in the order of the bytes of
 * these (walk.c). Links are followed, but not in circles; what begins with a dot, and what systems
 * leave, is left out. */
cn_status cn_names_walk(cn_names *files, const char *dir, cn_error *err);
/* Is one of these files `wanted`? Looks no further than the folder that has it; false where nothing can be read. */
bool cn_names_any(const char *dir, bool (*wanted)(const char *name));
void cn_names_free(cn_names *names);
/* The lines of a text file that are not empty, in one block: cn_release(lines->names) frees all, also
 * after a failure. */
cn_status cn_lines_read(cn_names *lines, const char *path, cn_error *err);

#endif
