/* tutor.h - the files of the tutor, which cmake/tutor.cmake puts into the command. */
#ifndef TUTOR_H
#define TUTOR_H

#include <stddef.h>

typedef struct cli_tutor_file {
    const char *name; /* NULL ends the list */
    const unsigned char *bytes;
    size_t size;
} cli_tutor_file;

extern const cli_tutor_file cli_tutor_files[];

#endif
