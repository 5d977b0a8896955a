/* cgroup.h - the processor time that a container may use. */
#ifndef CN_CGROUP_H
#define CN_CGROUP_H

/*
 * As many processors, rounded up, as the tightest CPU quota that holds for this process allows; 0
 * where none does. `root` stands before the paths of /proc and of all mounts: "" but in tests.
 */
int cn_cgroup_processors(const char *root);

#endif
