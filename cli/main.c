/*
 * main.c - the command `convnet`: finds the subcommand, reads its options, runs it.
 *
 * To add a subcommand: write a file that ends in its descriptor, declare that in cli.h, and enrol
 * it in `commands`.
 */
#include "cli.h"

#include "base/base.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const cli_command *const commands[] = {
    &cli_train,     &cli_evaluate, &cli_predict, &cli_run,   &cli_convert, &cli_summary,
    &cli_gradcheck, &cli_bench,    &cli_augment, &cli_check, &cli_explain, &cli_report,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static const char *command_name(const void *list, int i)
{
    (void)list;
    return i < COMMANDS ? commands[i]->name : NULL;
}

static const cli_command *find(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    return NULL;
}

static int unknown(const char *name)
{
    const char *near = cli_nearest(name, command_name, NULL);
    fprintf(stderr, "convnet: there is no subcommand \"%s\"; ", name);
    if (near)
        fprintf(stderr, "did you mean %s?\n", near);
    else
        fprintf(stderr, "convnet help lists them\n");
    return CLI_USAGE;
}

static void print_overview(FILE *out)
{
    fprintf(out, "convnet - trains and runs convolutional neural networks\n\n"
                 "Usage: convnet SUBCOMMAND [ARGUMENT...]\n\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-10s  %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "  %-10s  %s\n\n", "help", "this text, or that of a subcommand");
    fprintf(out, "Start here\n"
                 "  convnet train                        a network on handwritten digits, in "
                 "seconds\n"
                 "  convnet evaluate digits.safetensors  how good it has become\n"
                 "  convnet summary lenet5               what a network is made of\n"
                 "  convnet help train                   everything about a subcommand\n\n"
                 "Networks for summary and --model\n");
    for (int i = 0; cn_zoo_at(i); i++)
        fprintf(out, "  %-15s  %s\n", cn_zoo_at(i)->name, cn_zoo_at(i)->text);
    fprintf(out, "\nExit status: 0 done, 1 failed, 2 wrong usage, 130 interrupted.\n");
}

static int help(int argc, char **argv)
{
    if (argc == 0) {
        print_overview(stdout);
        return CLI_DONE;
    }
    const cli_command *command = find(argv[0]);
    if (!command) return unknown(argv[0]);
    cli_print_help(command);
    return CLI_DONE;
}

static int run(const cli_command *command, int argc, char **argv)
{
    int count;
    void *options = calloc(1, command->size);
    if (!options) return cli_error(command->name, "out of memory");
    int code = cli_parse(command, argc, argv, options, &count);
    if (code == CLI_DONE) {
        if (((const cli_common *)options)->help)
            cli_print_help(command);
        else
            code = command->run(options, count, argv);
    }
    free(options);
    return code;
}

/* True when standard output is a pipe that nobody reads any more. */
static bool reader_left(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) == 1 && (out.revents & POLLERR);
}

/* What could not be written is a failure, unless nobody is left to read it. */
static int close_output(const char *name, int code)
{
    bool failed = ferror(stdout) != 0;
    errno = 0;
    if (fflush(stdout) != 0) failed = true;
    if (!failed || reader_left()) return code;
    fprintf(stderr, "convnet %s: writing to standard output failed%s%s\n", name, errno ? ": " : "",
            errno ? cn_system_text(errno) : "");
    return code == CLI_DONE ? CLI_FAILED : code;
}

/* The number of a standard stream that is closed would go to the next file opened, and what is
 * printed into that file. Occupied for reading only, it makes writing fail. */
static void occupy_standard_streams(void)
{
    int fd;
    do fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
}

/* An instruction set that was asked for and cannot be had: others give other bits. */
static bool lacks_isa(void)
{
    const char *asked = getenv("CONVNET_ISA");
    return asked && asked[0] && strcmp(asked, cn_isa()) != 0;
}

/* No setlocale: the command speaks English and writes decimal points everywhere. */
int main(int argc, char **argv)
{
    occupy_standard_streams();
    /* A reader that leaves (| head) must not end a training, and a full quota is an error that
     * names the file: both then show as failed writes. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);

    if (argc < 2) {
        print_overview(stderr);
        return CLI_USAGE;
    }
    if (lacks_isa()) {
        fprintf(stderr,
                "convnet: CONVNET_ISA is \"%s\", expected scalar, avx2 or avx512, whichever this "
                "processor has; without it, %s is taken\n",
                getenv("CONVNET_ISA"), cn_isa());
        return CLI_USAGE;
    }
    const char *name = argv[1];
    int code = CLI_DONE;
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        code = help(argc - 2, argv + 2);
    } else if (strcmp(name, "--version") == 0 || strcmp(name, "version") == 0) {
        printf("convnet %s (%s)\n", cn_version(), cn_isa());
    } else if (find(name)) {
        code = run(find(name), argc - 2, argv + 2);
    } else {
        code = unknown(name);
    }
    return close_output(name, code);
}
