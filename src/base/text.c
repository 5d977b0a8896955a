/* text.c - what is well-formed text. */
#include "base/base.h"

bool cn_is_utf8(const char *text)
{
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000}; /* of a code of 1 to 4 bytes */
    const unsigned char *at = (const unsigned char *)text;
    while (*at) {
        uint32_t code = *at++;
        int more = code < 0x80         ? 0
                   : code >> 5 == 0x06 ? 1
                   : code >> 4 == 0x0e ? 2
                   : code >> 3 == 0x1e ? 3
                                       : -1;
        if (more < 0) return false;
        if (more > 0) code &= 0x3fu >> more;
        for (int i = 0; i < more; i++) {
            if (*at >> 6 != 2) return false;
            code = code << 6 | (*at++ & 0x3fu);
        }
        bool surrogate = code >= 0xd800 && code <= 0xdfff;
        if (code < least[more] || code > 0x10ffff || surrogate) return false;
    }
    return true;
}
