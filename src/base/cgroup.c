/*
 * cgroup.c - limits of Linux's control groups, versions 1 and 2 (Documentation/admin-guide).
 *
 *   /proc/self/cgroup       ID:CONTROLLERS:PATH     a line per hierarchy; version 2 is "0::PATH"
 *   /proc/self/mountinfo    36 35 0:27 ROOT MOUNT rw ... - TYPE SOURCE OPTIONS
 *   cpu.max                 "200000 100000"         version 2: microseconds, of a period's; or "max"
 *   cpu.cfs_quota_us        "200000"                version 1; -1 is none
 *   cpu.cfs_period_us       "100000"
 *   memory.max              "1073741824"            version 2: bytes, or "max"
 *   memory.current          "524288000"             that are in use,
 *   memory.stat             "inactive_file 1234"    these of files, which the system gives back
 *   memory.limit_in_bytes, memory.usage_in_bytes    version 1
 *
 * A hierarchy's group ROOT is seen at MOUNT, which in a container often is the container's own
 * group. The group of the process is PATH without ROOT below MOUNT. What any group from there up to
 * MOUNT allows is a limit. A file that is not there, or not as above, limits nothing.
 */
#include "base/cgroup.h"

#include "base/base.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROOM = PATH_MAX, FIELDS = 64 };

typedef struct hierarchy {
    const char *root;       /* see cn_cgroup_processors */
    const char *controller; /* "cpu" or "memory" */
    bool old;               /* version 1 */
    char mount[ROOM];       /* `root` is before it */
    char top[ROOM];         /* the group that is mounted there */
} hierarchy;

/* True where `word` is among the words between commas. */
static bool has_word(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (;;) {
        size_t one = strcspn(list, ",");
        if (one == length && memcmp(list, word, length) == 0) return true;
        if (list[one] == '\0') return false;
        list += one + 1;
    }
}

static FILE *open_below(const char *folder, const char *name)
{
    char path[ROOM];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length > 0 && length < ROOM ? fopen(path, "re") : NULL;
}

/* The next line, as far as there is room for it; what is longer is none of those looked for. */
static bool next_line(FILE *file, char line[ROOM])
{
    if (!fgets(line, ROOM, file)) return false;
    if (!strchr(line, '\n'))
        for (int c = getc(file); c != EOF && c != '\n';) c = getc(file);
    return true;
}

/* ---- where the hierarchy is mounted */

/* Appends a path of mountinfo, where a space is \040, to `before`; false where it is too long. */
static bool copy_path(char out[ROOM], const char *before, const char *path)
{
    size_t used = strlen(before);
    if (used + strlen(path) >= ROOM) return false;
    memcpy(out, before, used);
    for (; *path; path++) {
        int code = 0, digits = 0;
        while (*path == '\\' && digits < 3 && path[digits + 1] >= '0' && path[digits + 1] <= '7')
            code = 8 * code + path[++digits] - '0';
        out[used++] = digits == 3 ? (char)code : *path;
        if (digits == 3) path += 3;
    }
    out[used] = '\0';
    return true;
}

/* Takes ROOT and MOUNT from a line that is of the version looked for. */
static bool read_mount(hierarchy *h, char *line)
{
    char *fields[FIELDS], *rest = NULL;
    int count = 0, dash = 0;
    for (char *at = strtok_r(line, " \n", &rest); at && count < FIELDS;
         at = strtok_r(NULL, " \n", &rest))
        fields[count++] = at;
    for (int i = 6; i < count && dash == 0; i++)
        if (strcmp(fields[i], "-") == 0) dash = i;
    if (dash == 0 || dash + 3 >= count) return false;
    if (strcmp(fields[dash + 1], h->old ? "cgroup" : "cgroup2") != 0) return false;
    if (h->old && !has_word(fields[dash + 3], h->controller)) return false;
    return copy_path(h->top, "", fields[3]) && copy_path(h->mount, h->root, fields[4]);
}

static bool find_mount(hierarchy *h)
{
    char proc[ROOM], line[ROOM];
    bool found = false;
    if (!copy_path(proc, h->root, "/proc/self")) return false;
    FILE *file = open_below(proc, "mountinfo");
    while (file && !found && next_line(file, line)) found = read_mount(h, line);
    if (file) fclose(file);
    return found;
}

/* ---- what a group allows */

/* The number that a file begins with, or where `second`, that after it; -1 for anything else. */
static long long read_number(const char *folder, const char *name, bool second)
{
    char text[64], *end;
    FILE *file = open_below(folder, name);
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    text[length] = '\0';
    long long value = strtoll(text, &end, 10);
    if (end == text) return -1;
    if (!second) return value;
    const char *at = end;
    value = strtoll(at, &end, 10);
    return end == at ? -1 : value;
}

/* Processors, rounded up; LLONG_MAX where there is no limit. */
static long long processors_of(const hierarchy *h, const char *group)
{
    long long quota = read_number(group, h->old ? "cpu.cfs_quota_us" : "cpu.max", false);
    long long period = read_number(group, h->old ? "cpu.cfs_period_us" : "cpu.max", !h->old);
    if (quota <= 0 || period <= 0) return LLONG_MAX;
    return quota / period + (quota % period != 0);
}

/* The bytes of files that are given back where memory is short; 0 where none are told. */
static long long read_inactive(const char *group)
{
    static const char name[] = "inactive_file ";
    char line[ROOM];
    long long value = 0;
    FILE *file = open_below(group, "memory.stat");
    while (file && next_line(file, line))
        if (strncmp(line, name, sizeof name - 1) == 0)
            value = strtoll(line + sizeof name - 1, NULL, 10);
    if (file) fclose(file);
    return value > 0 ? value : 0;
}

/* Bytes; LLONG_MAX where there is no limit. */
static long long memory_of(const hierarchy *h, const char *group)
{
    long long most = read_number(group, h->old ? "memory.limit_in_bytes" : "memory.max", false);
    long long used = read_number(group, h->old ? "memory.usage_in_bytes" : "memory.current", false);
    if (most < 0 || used < 0) return LLONG_MAX;
    long long inactive = read_inactive(group);
    used -= inactive < used ? inactive : used;
    return used < most ? most - used : 0;
}

typedef long long limit_of(const hierarchy *h, const char *group);

/* The least of the group PATH and of those above it. */
static long long limit_along(hierarchy *h, const char *path, limit_of *limit)
{
    char group[ROOM];
    size_t top = strcmp(h->top, "/") == 0 ? 0 : strlen(h->top), mount = strlen(h->mount);
    bool below = strncmp(path, h->top, top) == 0 && (path[top] == '/' || path[top] == '\0');
    if (!below || strncmp(path, "/..", 3) == 0) path = "", top = 0; /* outside what is mounted */
    if (mount + strlen(path + top) >= ROOM) return LLONG_MAX;
    memcpy(group, h->mount, mount);
    strcpy(group + mount, path + top);
    long long least = LLONG_MAX;
    for (;;) {
        long long one = limit(h, group);
        if (one < least) least = one;
        char *slash = strrchr(group + mount, '/');
        if (!slash) return least;
        *slash = '\0';
    }
}

/* A line of /proc/self/cgroup; LLONG_MAX where it says nothing of the controller. */
static long long limit_of_line(const char *root, const char *controller, char *line,
                               limit_of *limit)
{
    hierarchy h = {.root = root, .controller = controller};
    char *controllers = strchr(line, ':'),
         *path = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!path) return LLONG_MAX;
    *path++ = '\0';
    controllers++;
    path[strcspn(path, "\n")] = '\0';
    h.old = *controllers != '\0';
    if (h.old && !has_word(controllers, controller)) return LLONG_MAX;
    return find_mount(&h) ? limit_along(&h, path, limit) : LLONG_MAX;
}

static long long find_least(const char *root, const char *controller, limit_of *limit)
{
    char proc[ROOM], line[ROOM];
    long long least = LLONG_MAX;
    if (!copy_path(proc, root, "/proc/self")) return least;
    FILE *file = open_below(proc, "cgroup");
    while (file && next_line(file, line)) {
        long long one = limit_of_line(root, controller, line, limit);
        if (one < least) least = one;
    }
    if (file) fclose(file);
    return least;
}

int cn_cgroup_processors(const char *root)
{
    long long least = find_least(root, "cpu", processors_of);
    return least < INT_MAX ? (int)least : 0;
}

/* The memory that the machine can give without swapping. */
static long long machine_memory(const char *root)
{
    static const char name[] = "MemAvailable:";
    char proc[ROOM], line[ROOM];
    long long kilobytes = -1;
    FILE *file = copy_path(proc, root, "/proc") ? open_below(proc, "meminfo") : NULL;
    while (file && kilobytes < 0 && next_line(file, line))
        if (strncmp(line, name, sizeof name - 1) == 0)
            kilobytes = strtoll(line + sizeof name - 1, NULL, 10);
    if (file) fclose(file);
    return kilobytes < 0 || kilobytes > LLONG_MAX / 1024 ? LLONG_MAX : kilobytes * 1024;
}

size_t cn_memory_available(const char *root)
{
    long long machine = machine_memory(root), group = find_least(root, "memory", memory_of);
    long long least = group < machine ? group : machine;
    if (least == LLONG_MAX) return 0;
    if (least < 1) return 1;
    return (unsigned long long)least > SIZE_MAX ? SIZE_MAX : (size_t)least;
}
