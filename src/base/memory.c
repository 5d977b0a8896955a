/* memory.c - aligned, zeroed blocks with room to read past their end. */
#define _DEFAULT_SOURCE /* for madvise */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Large blocks ask for pages of 2 MB, where the system offers them: a kernel that walks over 36
 * planes at once touches as many pages, and small ones would overflow the TLB. */
enum { HUGE_PAGE = 2 << 20, LARGE_BLOCK = 4 * HUGE_PAGE };

bool cn_multiply(size_t a, size_t b, size_t *out)
{
    if (b != 0 && a > SIZE_MAX / b) return false;
    *out = a * b;
    return true;
}

void *cn_allocate(size_t count, size_t size, const char *what, cn_error *err)
{
    size_t bytes;
    if (!cn_multiply(count, size, &bytes) || bytes > SIZE_MAX / 2) {
        cn_fail(err, CN_ERR_MEMORY, "%s: %zu elements of %zu bytes exceed the address space", what,
                count, size);
        return NULL;
    }
    size_t align = bytes < LARGE_BLOCK ? CN_ALIGN : HUGE_PAGE;
    size_t used = (bytes + CN_ALIGN + CN_ALIGN - 1) / CN_ALIGN * CN_ALIGN;
    size_t rounded = (used + align - 1) / align * align;
    char *block = aligned_alloc(align, rounded);
    if (!block) {
        cn_fail(err, CN_ERR_MEMORY, "%s: %zu bytes could not be allocated", what, rounded);
        return NULL;
    }
#ifdef MADV_HUGEPAGE
    size_t whole = used / HUGE_PAGE * HUGE_PAGE; /* the rest takes no more than it needs */
    if (align == HUGE_PAGE) (void)madvise(block, whole, MADV_HUGEPAGE);
#endif
    return memset(block, 0, used);
}

void cn_release(void *block)
{
    free(block);
}
