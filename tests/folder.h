/* folder.h - a scratch folder for all tests of a program: cmocka's set-up and tear-down of its group. */
#ifndef TEST_FOLDER_H
#define TEST_FOLDER_H

#include "files.h"

static char folder[FILES_PATH];

static int set_up(void **state)
{
    (void)state;
    files_make_folder(folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    files_remove_folder(folder);
    return 0;
}

#endif
