/* c_locale.h - the "C" locale for a few lines, in one thread. */
#ifndef CN_C_LOCALE_H
#define CN_C_LOCALE_H

#include "base/base.h"

#include <locale.h>

/*
 * Between the two calls the calling thread is in the "C" locale: numbers have a decimal point.
 * Other threads, and the process's locale, do not change. A library that prints or reads numbers
 * (Jansson) is called so, and nothing of the caller's.
 */
locale_t cn_c_locale_enter(void);
void cn_c_locale_leave(locale_t before);

#endif
