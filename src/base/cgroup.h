/* cgroup.h - the processor time and the memory that a container may use. */
#ifndef CN_CGROUP_H
#define CN_CGROUP_H

#include <stddef.h>

/*
 * As many processors, rounded up, as the tightest CPU quota that holds for this process allows; 0
 * where none does. `root` stands before the paths of /proc and of all mounts: "" but in tests.
 */
int cn_cgroup_processors(const char *root);

/* Bytes that this process may still allocate: what the machine has to spare, and no more than the
 * tightest memory limit that holds for it leaves, at least 1. 0 where neither is known. */
size_t cn_memory_available(const char *root);

#endif
