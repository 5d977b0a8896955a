/* interrupt.c - Ctrl-C and its relatives as a question that a loop can ask. */
#include "interrupt.h"

#include <signal.h>
#include <stddef.h>

static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
enum { CAUGHT = sizeof caught / sizeof *caught };

/* A handler has no other way to tell. */
static volatile sig_atomic_t arrived;

static void remember(int signal_number)
{
    arrived = signal_number;
    cli_release_interrupts(); /* safe in a handler: sigaction and signal are */
}

void cli_catch_interrupts(void)
{
    struct sigaction action = {.sa_handler = remember, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < CAUGHT; i++) {
        struct sigaction before;
        /* nohup and a shell's & ignore some of them: they stay ignored. */
        if (sigaction(caught[i], NULL, &before) == 0 && before.sa_handler == SIG_IGN) continue;
        sigaction(caught[i], &action, NULL);
    }
}

int cli_interrupted(void)
{
    return arrived;
}

void cli_release_interrupts(void)
{
    for (size_t i = 0; i < CAUGHT; i++) {
        struct sigaction before;
        if (sigaction(caught[i], NULL, &before) == 0 && before.sa_handler == remember)
            signal(caught[i], SIG_DFL);
    }
}
