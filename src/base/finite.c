/* finite.c - counts what is NaN or infinite. */
#include "base/math.h"

#include <stdint.h>
#include <string.h>

/* Infinities and NaNs are the floats whose exponent bits are all set. Read as an integer, without
 * the sign, infinity is the smallest of them: so integers are compared, which vectorizes. */
static const uint32_t infinity_bits = 0x7f800000;

size_t cn_count_not_finite(size_t n, const float *x, bool *nan)
{
    enum { PART = 4096 }; /* so that few bits are enough to count with */
    size_t count = 0;
    for (size_t from = 0; from < n; from += PART) {
        size_t part = n - from < PART ? n - from : PART;
        uint32_t bits[PART], bad = 0, nans = 0;
        memcpy(bits, x + from, part * sizeof *bits);
        for (size_t i = 0; i < part; i++) {
            int32_t size = (int32_t)(bits[i] & 0x7fffffff);
            bad += size >= (int32_t)infinity_bits;
            nans += size > (int32_t)infinity_bits;
        }
        count += bad;
        if (nan && nans > 0) *nan = true;
    }
    return count;
}
