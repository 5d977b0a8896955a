/* paths.h - the files that a data set is made of: found, packed or not, and listed in order. */
#ifndef CN_PATHS_H
#define CN_PATHS_H

#include "base/base.h"

enum { CN_PATH_ROOM = 4096 };

/* "dir/name"; false where that has no room. */
bool cn_path_join(char path[CN_PATH_ROOM], const char *dir, const char *name);

/* The path of dir/name, dir/name.gz or dir/name.xz, the first that there is; false for none. */
bool cn_path_find(char path[CN_PATH_ROOM], const char *dir, const char *name);

/* Names in a folder, in the order of their bytes: the same on every file system. */
typedef struct cn_names {
    char **names;
    int count;
} cn_names;

/* Those that are `wanted` (all with NULL), but for names that begin with a dot. */
cn_status cn_names_list(cn_names *names, const char *dir, bool (*wanted)(const char *name),
                        cn_error *err);
void cn_names_free(cn_names *names);

#endif
