/* interrupt.h - Ctrl-C and its relatives as a question that a loop can ask. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

/* From now on the first SIGINT, SIGTERM or SIGHUP is remembered; a second one kills as usual. */
void cli_catch_interrupts(void);
/* The signal that came, or 0. */
int cli_interrupted(void);
/* From now on signals kill as usual. */
void cli_release_interrupts(void);

#endif
