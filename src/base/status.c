/* status.c - errors as values. */
#include "base/base.h"

#define TEXT(x)                           #x
#define VERSION_TEXT(major, minor, patch) TEXT(major) "." TEXT(minor) "." TEXT(patch)

const char *cn_version(void)
{
    return VERSION_TEXT(CN_VERSION_MAJOR, CN_VERSION_MINOR, CN_VERSION_PATCH);
}

const char *cn_status_text(cn_status status)
{
    switch (status) {
#define STATUS_CASE(name, value, meaning) \
    case name: return meaning;
        CN_STATUS_MAP(STATUS_CASE)
#undef STATUS_CASE
    }
    return "unknown status";
}

cn_status cn_fail(cn_error *err, cn_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->status = status;
        cn_vformat(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}
