/*
 * check.c - `convnet check`: a learner's eight functions beside the textbook's.
 *
 * The tutor is a program in Python (cli/tutor/): what it runs is Python over numpy in most cases, and
 * for C it loads what the compiler made. The command carries it, writes it to a folder of its own,
 * and runs it there, so that nothing has to be installed but Python and numpy.
 */
#include "cli.h"
#include "interrupt.h"
#include "tutor.h"

#include "base/base.h"
#include "base/source.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct options {
    cli_common common;
} options;

static const cli_option check_options[] = {
    {.name = NULL},
};

extern char **environ;

/* Runs a program to its end; its exit status, 128 + the signal that ended it, or -1 where it could
 * not be started. */
static int run_program(char *const *words, bool quiet)
{
    posix_spawn_file_actions_t actions;
    pid_t child;
    int status;
    if (posix_spawn_file_actions_init(&actions) != 0) return -1;
    for (int fd = STDOUT_FILENO; quiet && fd <= STDERR_FILENO; fd++)
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_WRONLY, 0);
    int failed = posix_spawnp(&child, words[0], &actions, NULL, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed) return -1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The Python that has numpy; NULL where none has. */
static const char *find_python(void)
{
    const char *names[] = {getenv("CONVNET_PYTHON"), "python3", "/usr/bin/python3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *name = names[i] ? strdup(names[i]) : NULL, option[] = "-c", probe[] = "import numpy";
        bool found = name && *name && run_program((char *[]){name, option, probe, NULL}, true) == 0;
        free(name);
        if (found) return names[i];
    }
    return NULL;
}

/* The path of a file of the tutor; the memory is the caller's. */
static char *path_in(const char *folder, const char *name)
{
    size_t size = strlen(folder) + strlen(name) + 2;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s/%s", folder, name);
    return path;
}

static bool write_files(const char *folder)
{
    bool good = true;
    for (const cli_tutor_file *f = cli_tutor_files; good && f->name; f++) {
        char *path = path_in(folder, f->name);
        FILE *file = path ? fopen(path, "wb") : NULL;
        good = file && fwrite(f->bytes, 1, f->size, file) == f->size;
        if (file && fclose(file) != 0) good = false;
        free(path);
    }
    return good;
}

static void remove_files(const char *folder)
{
    for (const cli_tutor_file *f = cli_tutor_files; f->name; f++) {
        char *path = path_in(folder, f->name);
        if (path) unlink(path);
        free(path);
    }
    rmdir(folder);
}

/* The tutor's exit status. */
static int run_tutor(const char *python, const char *folder, const char *learner, bool json)
{
    char *words[6] = {strdup(python),
                      strdup("-B"),
                      path_in(folder, "check.py"),
                      strdup(learner),
                      json ? strdup("--json") : NULL,
                      NULL};
    int code = -1;
    if (words[0] && words[1] && words[2] && words[3] && (words[4] || !json)) {
        cli_catch_interrupts(); /* it reaches the tutor, too: the folder is still removed */
        code = run_program(words, false);
        cli_release_interrupts();
    }
    for (int i = 0; i < 5; i++) free(words[i]);
    return code;
}

static int run(const void *given, int count, char *const *operands)
{
    const options *o = given;
    const char *learner = operands[0], *temporary = getenv("TMPDIR");
    struct stat about;
    cn_error err;
    int file = -1;
    (void)count;
    if (!cn_ends_in(learner, ".py") && !cn_ends_in(learner, ".c"))
        return cli_error("check", "%s: expected a file that ends in .py or .c", learner);
    if (cn_file_open(&file, &about, learner, &err) != CN_OK)
        return cli_error("check", "%s", err.text);
    close(file);
    const char *python = find_python();
    if (!python)
        return cli_error("check", "needs a python3 that imports numpy; CONVNET_PYTHON names one");
    char *folder = path_in(temporary && *temporary ? temporary : "/tmp", "convnet-tutor-XXXXXX");
    int code = -1;
    if (!folder || !mkdtemp(folder)) {
        free(folder);
        return cli_error("check", "no folder for the tutor: %s", cn_system_text(errno));
    }
    if (write_files(folder)) code = run_tutor(python, folder, learner, o->common.json);
    remove_files(folder);
    free(folder);
    return code < 0 ? cli_error("check", "the tutor could not be started") : code;
}

const cli_command cli_check = {
    .name = "check",
    .summary = "names the mistakes in your own eight functions",
    .operands = "FILE",
    .min_operands = 1,
    .max_operands = 1,
    .help =
        "Runs the functions of the course that FILE defines (zero_pad, conv_single_step, "
        "conv_forward, pool_forward, conv_backward, create_mask_from_window, distribute_value, "
        "pool_backward) beside the textbook's, on images that are not square, strides above 1, "
        "pads from 0 to 3 and several channels. Where a result is wrong, it names the mistake "
        "and shows the first wrong cell with what it is made of. It never shows a solution.\n"
        "\n"
        "FILE ends in .py, functions over numpy with the course's signatures, or in .c, "
        "functions over arrays of doubles; docs/tutor.md has their prototypes. The code runs in "
        "a process of its own, which has seconds of time, half a gigabyte of memory, and a folder "
        "that is removed. It needs a python3 with numpy (CONVNET_PYTHON names one), and for C a "
        "compiler (CC). Exit status 1 unless all eight are right.\n"
        "\n"
        "Examples\n"
        "  convnet check my.py\n"
        "  convnet check my.c\n",
    .options = check_options,
    .unused = {"seed", "threads"},
    .size = sizeof(options),
    .run = run,
};
