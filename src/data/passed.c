/* passed.c - the files that a reader passes over, counted to be said. */
#include "data/passed.h"
#include "data/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cn_passed_add(cn_passed *passed, const char *name)
{
    char ending[CN_ENDING] = "";
    const char *dot = strrchr(name, '.');
    if (cn_is_litter(name)) return;
    for (size_t i = 0; dot && i + 1 < CN_ENDING && dot[i]; i++) ending[i] = cn_lower(dot[i]);
    for (int i = 0; i < passed->kind_count; i++)
        if (strcmp(passed->kinds[i].ending, ending) == 0) {
            passed->kinds[i].count++;
            return;
        }
    if (passed->kind_count == CN_ENDINGS) {
        passed->others++;
        return;
    }
    strcpy(passed->kinds[passed->kind_count].ending, ending);
    passed->kinds[passed->kind_count++].count = 1;
}

const char *cn_passed_text(const cn_passed *passed, char text[CN_PASSED_TEXT])
{
    cn_passed rest = *passed;
    size_t used = 0;
    text[0] = 0;
    for (int k = 0; k < rest.kind_count; k++) {
        int most = 0; /* equals by their endings */
        for (int i = 1; i < rest.kind_count; i++) {
            int more = rest.kinds[i].count - rest.kinds[most].count;
            if (more > 0 ||
                (more == 0 && strcmp(rest.kinds[i].ending, rest.kinds[most].ending) < 0))
                most = i;
        }
        const char *ending = rest.kinds[most].ending;
        used += (size_t)snprintf(text + used, CN_PASSED_TEXT - used, "%s%d %s", k ? ", " : "",
                                 rest.kinds[most].count, *ending ? ending : "without an ending");
        rest.kinds[most].count = 0;
    }
    if (passed->others) snprintf(text + used, CN_PASSED_TEXT - used, ", %d others", passed->others);
    return text;
}

cn_status cn_passed_remark(const cn_passed *passed, cn_remarks *remarks, cn_error *err)
{
    char text[CN_PASSED_TEXT];
    if (passed->kind_count == 0) return CN_OK;
    return cn_remark(remarks, err, "passed over %s", cn_passed_text(passed, text));
}
