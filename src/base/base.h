/* base.h - what every floor of the library stands on: errors, memory, shapes. */
#ifndef CN_BASE_H
#define CN_BASE_H

#include "convnet.h"

#include <float.h>
#include <stdarg.h>

/* The promise of the same bits, and every NaN that is looked for, rest on IEEE arithmetic. */
#if defined(__FAST_MATH__) || defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || \
    (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__)
#error "convnet is built without -ffast-math, -Ofast and their parts: they change results"
#endif
#if FLT_EVAL_METHOD != 0 && FLT_EVAL_METHOD != 16
#error "convnet needs float and double arithmetic without excess precision (-msse2 -mfpmath=sse)"
#endif

#if defined(__GNUC__)
#define CN_PRINTF(string, first) __attribute__((format(printf, string, first)))
#else
#define CN_PRINTF(string, first)
#endif

/* ---- errors (status.c) */

/* Writes the error (err may be NULL) and returns its status: return cn_fail(err, ...). */
cn_status cn_fail(cn_error *err, cn_status status, const char *format, ...) CN_PRINTF(3, 4);

/* ---- memory (memory.c) */

/* Every block starts on a 64-byte boundary and is followed by 64 readable bytes, so that a kernel
 * may load a whole vector at the last element. */
enum { CN_ALIGN = 64 };

/* Zeroed memory of `count` elements of `size` bytes, or NULL with CN_ERR_MEMORY in err, which also
 * names `what`. Free with cn_release. */
void *cn_allocate(size_t count, size_t size, const char *what, cn_error *err);
void cn_release(void *block);

/* *out = a * b, or false when that overflows. */
bool cn_multiply(size_t a, size_t b, size_t *out);

/* ---- tensors (tensor.c) */

/* Applies the rule for outputs: an empty tensor is allocated, one of this dtype and shape is kept,
 * anything else is CN_ERR_SHAPE. `what` names it: "conv_forward: Z". */
cn_status cn_tensor_output(cn_tensor *t, cn_dtype dtype, int rank, const int *shape,
                           const char *what, cn_error *err);
/* "(4, 7, 7, 2)" into text; returns text. */
enum { CN_SHAPE_TEXT = 64 };
const char *cn_shape_text(int rank, const int *shape, char text[CN_SHAPE_TEXT]);

/* ---- text (text.c) */

/* True for well-formed UTF-8 (RFC 3629), which is all that JSON holds. */
bool cn_is_utf8(const char *text);

/* True for "net.onnx" with ".onnx"; not where the ending is all that there is. */
bool cn_ends_in(const char *text, const char *ending);

/* The text on one line: control characters as \n, \t or \x1b, whatever could be taken for the end
 * of a line or move a terminal's cursor. What has no room is cut. Returns `plain`. */
const char *cn_plain_text(const char *text, char *plain, size_t room);

/* A path as errors have room for: of a longer one the beginning, "..." and the end, which tells files
 * apart, each of whole characters. Returns the path or `brief`. */
enum { CN_BRIEF_PATH = 121 };
const char *cn_brief_path(const char *path, char brief[CN_BRIEF_PATH]);

/* The edit distance (Levenshtein) from a to b, counted up to a limit far above that of a typo. */
int cn_text_distance(const char *a, const char *b);

/* ---- text and numbers in any locale (c_locale.c) */

/* snprintf and vsnprintf as in the "C" locale: for every text that holds a number with a fraction.
 */
int cn_format(char *text, size_t size, const char *format, ...) CN_PRINTF(3, 4);
int cn_vformat(char *text, size_t size, const char *format, va_list args) CN_PRINTF(3, 0);
/* What the system calls an errno, in English. */
const char *cn_system_text(int number);

/* The ending of a noun after this number: "" after 1, else "s". */
const char *cn_plural(int n);

/* A number as "0.01": the shortest digits that are read back as the same double. Returns text. */
enum { CN_NUMBER_TEXT = 32 };
const char *cn_number_text(double number, char text[CN_NUMBER_TEXT]);
/* The finite decimal number, such as "-1.5e-3", that the text begins with. Returns where it ends;
 * NULL where there is none. */
const char *cn_number_scan(const char *text, double *number);
/* The same where the number is the whole of the text. */
bool cn_number_read(const char *text, double *number);

/* ASCII alone. */
bool cn_is_digit(char c);
bool cn_is_word(char c); /* a letter or a digit */
char cn_lower(char c);
/* Equal but for upper and lower case. */
bool cn_same_letters(const char *a, const char *b);

#endif
