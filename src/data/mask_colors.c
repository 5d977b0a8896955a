/*
 * mask_colors.c - which colors of masks are which classes, in a text with a line per class:
 *
 *   name,r,g,b              class_dict.csv: a heading or none
 *   Sky,128,128,128
 *
 *   128 128 128<TAB>Sky     label_colors.txt
 *
 *   sky:128,128,128::       labelmap.txt; lines that begin with # say nothing
 */
#include "data/masks.h"

#include <string.h>

static const char gaps[] = " \t\r,;:\"";

/* Three numbers of 0 to 255, with gaps before each: 0xRRGGBB, or -1; *at stands behind them. */
static int32_t read_color(char **at)
{
    int32_t color = 0;
    for (int k = 0; k < 3; k++) {
        int value = 0, digits = 0;
        *at += strspn(*at, gaps);
        for (; digits < 4 && cn_is_digit(**at); digits++, ++*at) value = 10 * value + **at - '0';
        if (digits < 1 || value > 255) return -1;
        color = color << 8 | value;
    }
    return color;
}

/* Cuts the name out of a line, which has it before the color or behind. */
static int32_t read_class(char *at, char **name)
{
    const bool first = cn_is_digit(*at);
    int32_t color = first ? read_color(&at) : 0;
    at += strspn(at, gaps);
    *name = at;
    char *end = at += strcspn(at, first ? "" : gaps + 1);
    if (!first) color = read_color(&at);
    while (end > *name && strchr(gaps, end[-1])) end--;
    *end = 0;
    return **name && cn_is_utf8(*name) ? color : -1;
}

cn_status cn_mask_colors_read(cn_mask_colors *c, char ***names, const char *path, cn_error *err)
{
    cn_names lines = {NULL, 0};
    char plain[40];
    const char *wrong = "nothing";
    cn_status status = cn_lines_read(&lines, path, err);
    c->path = path;
    c->count = 0;
    for (int i = 0; status == CN_OK && i < lines.count; i++) {
        char *line = lines.names[i] + strspn(lines.names[i], gaps), *name = line;
        if (!*line || *line == '#') continue;
        int32_t color = read_class(line, &name);
        for (int v = 0; v < c->count; v++)
            if (c->color[v] == color) color = -1;
        if (color < 0 && i == 0) continue; /* a heading */
        wrong = color < 0 || c->count == CN_MASK_IGNORED ? name : NULL;
        if (wrong) break;
        c->color[c->count] = color;
        lines.names[c->count++] = name;
    }
    if (status == CN_OK && wrong)
        status = cn_fail(err, CN_ERR_FORMAT,
                         "%.100s: expected names of up to %d classes and the color of each, three "
                         "numbers of 0 to 255, found %s",
                         path, (int)CN_MASK_IGNORED, cn_plain_text(wrong, plain, sizeof plain));
    if (status == CN_OK)
        *names = lines.names;
    else
        cn_release(lines.names);
    return status;
}
