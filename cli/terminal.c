/* terminal.c - what the terminal can do, and the time. */
#define _DEFAULT_SOURCE /* TIOCGWINSZ */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

bool cli_is_terminal(FILE *stream)
{
    const char *term = getenv("TERM");
    return isatty(fileno(stream)) && term && strcmp(term, "dumb") != 0;
}

/* NO_COLOR, when present and not empty, forbids color (no-color.org). */
bool cli_colors(FILE *stream)
{
    const char *no = getenv("NO_COLOR");
    return cli_is_terminal(stream) && !(no && *no);
}

int cli_terminal_width(FILE *stream)
{
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
    return 80;
}

double cli_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
