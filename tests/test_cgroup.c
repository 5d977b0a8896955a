/* test_cgroup.c - a container's limits, in trees of files as Linux shows them. */
#include "base/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "files.h"

static char root[FILES_PATH];

/* Writes a file below the root, and the folders above it. */
static void put(const char *path, const char *text)
{
    char whole[2 * FILES_PATH];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *at = whole + strlen(root) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        mkdir(whole, 0777);
        *at = '/';
    }
    files_write(whole, text, strlen(text));
}

static int set_up(void **state)
{
    (void)state;
    files_make_folder(root);
    return 0;
}

static int tear_down(void **state)
{
    char command[FILES_PATH + 20];
    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command) != 0;
}

#define MOUNT_V2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
#define MOUNT_V1                                                                  \
    "31 30 0:28 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n" \
    "32 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:11 - cgroup cgroup rw,cpu,cpuacct\n"

static void no_files_are_no_limit(void **state)
{
    (void)state;
    assert_int_equal(cn_cgroup_processors(root), 0);
    put("/proc/self/cgroup", "0::/\n");
    assert_int_equal(cn_cgroup_processors(root), 0);
    put("/proc/self/mountinfo", MOUNT_V2);
    assert_int_equal(cn_cgroup_processors(root), 0);
    put("/proc/self/cgroup", "nonsense\n\n:::\n");
    assert_int_equal(cn_cgroup_processors(root), 0);
}

static void version_2_is_read(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/sys/fs/cgroup/cpu.max", "max 100000\n");
    assert_int_equal(cn_cgroup_processors(root), 0);
    put("/sys/fs/cgroup/cpu.max", "100000 100000\n");
    assert_int_equal(cn_cgroup_processors(root), 1);
    put("/sys/fs/cgroup/cpu.max", "100001 100000\n");
    assert_int_equal(cn_cgroup_processors(root), 2);
    put("/sys/fs/cgroup/cpu.max", "1000 100000\n");
    assert_int_equal(cn_cgroup_processors(root), 1);
    put("/sys/fs/cgroup/cpu.max", "25000 10000\n");
    assert_int_equal(cn_cgroup_processors(root), 3);
    put("/sys/fs/cgroup/cpu.max", "0 0\n");
    assert_int_equal(cn_cgroup_processors(root), 0);
}

static void groups_above_count_too(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "0::/kube/pod/one\n");
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/sys/fs/cgroup/kube/pod/one/cpu.max", "800000 100000\n");
    assert_int_equal(cn_cgroup_processors(root), 8);
    put("/sys/fs/cgroup/kube/cpu.max", "300000 100000\n");
    assert_int_equal(cn_cgroup_processors(root), 3);
    put("/sys/fs/cgroup/kube/pod/cpu.max", "400000 100000\n");
    assert_int_equal(cn_cgroup_processors(root), 3);
    put("/sys/fs/cgroup/cpu.max", "200000 100000\n");
    assert_int_equal(cn_cgroup_processors(root), 2);
    put("/sys/fs/cgroup/other/cpu.max", "100000 100000\n");
    assert_int_equal(cn_cgroup_processors(root), 2);
}

static void version_1_is_read(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:memory:/a\n3:cpuset:/b\n2:cpu,cpuacct:/user/job\n0::/c\n");
    put("/proc/self/mountinfo", MOUNT_V1);
    put("/sys/fs/cgroup/cpu,cpuacct/user/job/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/user/job/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(cn_cgroup_processors(root), 0);
    put("/sys/fs/cgroup/cpu,cpuacct/user/job/cpu.cfs_quota_us", "450000\n");
    assert_int_equal(cn_cgroup_processors(root), 5);
    put("/sys/fs/cgroup/cpu,cpuacct/user/cpu.cfs_period_us", "50000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/user/cpu.cfs_quota_us", "75000\n");
    assert_int_equal(cn_cgroup_processors(root), 2);
}

/* Docker's, without a name space of its own: the path is the host's, the mount the container's. */
static void a_mounted_group_is_the_top(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "2:cpu:/docker/abc/inner\n0::/docker/abc\n");
    put("/proc/self/mountinfo", "32 30 0:29 /docker/abc /a\\040b/cpu rw - cgroup cgroup rw,cpu\n");
    put("/a b/cpu/cpu.cfs_period_us", "100000\n");
    put("/a b/cpu/cpu.cfs_quota_us", "600000\n");
    assert_int_equal(cn_cgroup_processors(root), 6);
    put("/a b/cpu/inner/cpu.cfs_period_us", "100000\n");
    put("/a b/cpu/inner/cpu.cfs_quota_us", "150000\n");
    assert_int_equal(cn_cgroup_processors(root), 2);
    /* A group that is not below what is mounted: all that can be seen is the top's. */
    put("/proc/self/cgroup", "2:cpu:/docker/abcd\n");
    assert_int_equal(cn_cgroup_processors(root), 6);
    put("/proc/self/cgroup", "2:cpu:/../other\n");
    assert_int_equal(cn_cgroup_processors(root), 6);
}

static void both_versions_limit(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "2:cpu,cpuacct:/\n0::/\n");
    put("/proc/self/mountinfo", MOUNT_V1 "40 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 c rw\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "700000\n");
    assert_int_equal(cn_cgroup_processors(root), 7);
    put("/sys/fs/cgroup/unified/cpu.max", "200000 100000\n");
    assert_int_equal(cn_cgroup_processors(root), 2);
}

static void memory_is_what_the_machine_has_to_spare(void **state)
{
    (void)state;
    assert_int_equal(cn_memory_available(root), 0);
    put("/proc/meminfo", "MemTotal:       24684356 kB\nMemAvailable:    2000 kB\n");
    assert_int_equal(cn_memory_available(root), 2000 * 1024);
}

static void memory_is_what_the_groups_leave(void **state)
{
    (void)state;
    put("/proc/meminfo", "MemTotal: 24684356 kB\nMemFree: 1 kB\nMemAvailable: 2000000 kB\n");
    put("/proc/self/cgroup", "0::/pod/one\n");
    put("/proc/self/mountinfo", MOUNT_V2);
    put("/sys/fs/cgroup/pod/one/memory.max", "max\n");
    put("/sys/fs/cgroup/pod/one/memory.current", "5000\n");
    assert_int_equal(cn_memory_available(root), (size_t)2000000 * 1024);
    put("/sys/fs/cgroup/pod/memory.max", "1000000\n");
    put("/sys/fs/cgroup/pod/memory.current", "600000\n");
    assert_int_equal(cn_memory_available(root), 400000);
    put("/sys/fs/cgroup/pod/memory.stat", "anon 7\ninactive_file 50000\nactive_file 9\n");
    assert_int_equal(cn_memory_available(root), 450000);
    put("/sys/fs/cgroup/pod/memory.current", "1600000\n");
    assert_int_equal(cn_memory_available(root), 1); /* 0 would be unknown */
}

static void memory_of_version_1_is_read(void **state)
{
    (void)state;
    put("/proc/self/cgroup", "4:memory:/a\n2:cpu,cpuacct:/b\n");
    put("/proc/self/mountinfo", MOUNT_V1);
    put("/sys/fs/cgroup/memory/a/memory.limit_in_bytes", "3000\n");
    put("/sys/fs/cgroup/memory/a/memory.usage_in_bytes", "1000\n");
    assert_int_equal(cn_memory_available(root), 2000);
    assert_int_equal(cn_cgroup_processors(root), 0);
}

int main(void)
{
#define IN_A_TREE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        IN_A_TREE(no_files_are_no_limit),
        IN_A_TREE(version_2_is_read),
        IN_A_TREE(groups_above_count_too),
        IN_A_TREE(version_1_is_read),
        IN_A_TREE(a_mounted_group_is_the_top),
        IN_A_TREE(both_versions_limit),
        IN_A_TREE(memory_is_what_the_machine_has_to_spare),
        IN_A_TREE(memory_is_what_the_groups_leave),
        IN_A_TREE(memory_of_version_1_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
