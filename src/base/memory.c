/* memory.c - aligned, zeroed blocks with room to read past their end. */
#include "base/base.h"

#include <stdlib.h>
#include <string.h>

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
    size_t rounded = (bytes + CN_ALIGN - 1) / CN_ALIGN * CN_ALIGN + CN_ALIGN;
    void *block = aligned_alloc(CN_ALIGN, rounded);
    if (!block) {
        cn_fail(err, CN_ERR_MEMORY, "%s: %zu bytes could not be allocated", what, rounded);
        return NULL;
    }
    return memset(block, 0, rounded);
}

void cn_release(void *block)
{
    free(block);
}
