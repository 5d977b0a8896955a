/* spec_options.c - what stands behind the path of a spec: "folder:DIR,size=64x64,channels=1". */
#include "data/dataset.h"
#include "formats/image.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads `word` and a whole number from 1 to `most`; what follows them, or NULL. */
static const char *read_whole(const char *text, const char *word, long most, int *value)
{
    size_t length = strlen(word);
    char *end;
    if (strncmp(text, word, length) != 0 || !strchr("123456789", text[length]) || !text[length])
        return NULL;
    long n = strtol(text + length, &end, 10);
    if (n < 1 || n > most) return NULL;
    *value = (int)n;
    return end;
}

static bool read_size(const char *text, cn_data_opts *o)
{
    const char *end = read_whole(text, "", 99999, &o->height);
    if (o->given & CN_OPTION_CENTER_CROP) return false; /* which says it, too */
    end = end ? read_whole(end, "x", 99999, &o->width) : NULL;
    return end && !*end;
}

static bool read_channels(const char *text, cn_data_opts *o)
{
    const char *end = read_whole(text, "", CN_IMAGE_CHANNELS, &o->channels);
    return end && !*end;
}

/* Which of two words it is, 0 or 1; false for neither. */
static bool read_choice(const char *text, const char *first, const char *second, int *choice)
{
    *choice = strcmp(text, second) == 0;
    return *choice || strcmp(text, first) == 0;
}

static bool read_fit(const char *text, cn_data_opts *o)
{
    int choice;
    bool known = read_choice(text, "crop", "stretch", &choice);
    o->images.fit = choice ? CN_FIT_STRETCH : CN_FIT_CROP;
    return known;
}

static bool read_background(const char *text, cn_data_opts *o)
{
    int choice;
    bool known = read_choice(text, "white", "black", &choice);
    o->images.background = choice ? CN_BACKGROUND_BLACK : CN_BACKGROUND_WHITE;
    return known;
}

static bool read_layout(const char *text, cn_data_opts *o)
{
    int choice;
    bool known = read_choice(text, "nhwc", "nchw", &choice);
    o->layout = choice ? CN_LAYOUT_NCHW : CN_LAYOUT_NHWC;
    return known;
}

/* A decimal number, as "-1", "0.5" or "65535", whatever the locale; what follows it, or NULL. */
static const char *read_decimal(const char *text, double *value)
{
    const char *digits = "0123456789";
    double sign = *text == '-' ? -1 : 1, whole = 0, part = 0, unit = 1;
    if (*text == '-') text++;
    size_t count = strspn(text, digits);
    if (count < 1 || count > 9) return NULL;
    for (; count > 0; count--) whole = 10 * whole + (*text++ - '0');
    if (text[0] == '.' && text[1] != '.') {
        count = strspn(++text, digits);
        if (count < 1 || count > 9) return NULL;
        for (; count > 0; count--, unit *= 10) part = 10 * part + (*text++ - '0');
    }
    *value = sign * (whole + part / unit);
    return text;
}

static bool read_range(const char *text, cn_data_opts *o)
{
    const char *end = read_decimal(text, &o->images.low);
    if (!end || strncmp(end, "..", 2) != 0) return false;
    end = read_decimal(end + 2, &o->images.high);
    return end && !*end && o->images.low < o->images.high;
}

static bool read_root(const char *text, cn_data_opts *o)
{
    return *text && snprintf(o->root, sizeof o->root, "%s", text) < (int)sizeof o->root;
}

static bool read_columns(const char *text, cn_data_opts *o)
{
    return *text && snprintf(o->columns, sizeof o->columns, "%s", text) < (int)sizeof o->columns;
}

static bool read_colors(const char *text, cn_data_opts *o)
{
    return *text && snprintf(o->colors, sizeof o->colors, "%s", text) < (int)sizeof o->colors;
}

static bool read_task(const char *text, cn_data_opts *o)
{
    static const struct {
        const char *word;
        cn_task_kind task;
    } tasks[] = {{"classification", CN_TASK_CLASSIFICATION},
                 {"multi-label", CN_TASK_MULTI_LABEL},
                 {"regression", CN_TASK_REGRESSION}};
    for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++)
        if (strcmp(text, tasks[i].word) == 0) {
            o->task = tasks[i].task;
            return true;
        }
    return false;
}

static bool read_ignore(const char *text, cn_data_opts *o)
{
    o->ignore = -1;
    if (strcmp(text, "none") == 0) return true;
    o->ignore = 0;
    if (strcmp(text, "0") == 0) return true;
    const char *end = read_whole(text, "", 255, &o->ignore);
    return end && !*end;
}

static bool read_resize(const char *text, cn_data_opts *o)
{
    const char *end = read_whole(text, "", 99999, &o->images.resize);
    return end && !*end;
}

/* The recipe's word for the size: a number alone is a square. */
static bool read_center_crop(const char *text, cn_data_opts *o)
{
    const char *end = read_whole(text, "", 99999, &o->height);
    if (o->given & CN_OPTION_SIZE || (o->given & CN_OPTION_FIT && o->images.fit != CN_FIT_CROP))
        return false;
    o->given |= CN_OPTION_SIZE;
    o->width = o->height;
    return end && (!*end || read_size(text, o));
}

static const struct option {
    const char *name, *usage;
    bool (*read)(const char *text, cn_data_opts *o);
} options[] = {
    /* in the order of the bits */
    {"size", "size=HEIGHTxWIDTH", read_size},
    {"channels", "channels=N", read_channels},
    {"fit", "fit=crop|stretch", read_fit},
    {"background", "background=white|black", read_background},
    {"layout", "layout=nhwc|nchw", read_layout},
    {"range", "range=LOW..HIGH", read_range},
    {"ignore", "ignore=0 to 255, or none", read_ignore},
    {"root", "root=DIR", read_root},
    {"resize", "resize=PIXELS", read_resize},
    {"center-crop", "center-crop=PIXELS", read_center_crop},
    {"task", "task=classification|multi-label|regression", read_task},
    {"columns", "columns=NAME|NAME", read_columns},
    {"colors", "colors=FILE", read_colors},
};
enum { OPTIONS = sizeof options / sizeof *options };

static cn_status refuse(const char *text, unsigned takes, const char *kind, cn_error *err)
{
    char list[320] = "";
    for (unsigned i = 0; i < OPTIONS; i++)
        if (takes & 1u << i) {
            size_t used = strlen(list);
            snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", options[i].usage);
        }
    return cn_fail(err, CN_ERR_ARGUMENT, "%s: option \"%.40s\", expected one of %s", kind, text,
                   list);
}

cn_status cn_data_opts_read(cn_data_opts *opts, const char *text, unsigned takes, const char *kind,
                            cn_error *err)
{
    enum { OPTION = 560 };
    char option[OPTION];
    cn_data_opts found = *opts;
    unsigned seen = 0;
    while (*text) {
        size_t size = strcspn(++text, ",");
        snprintf(option, OPTION, "%.*s", (int)(size < OPTION ? size : OPTION), text);
        bool known = false;
        for (unsigned i = 0; i < OPTIONS; i++) {
            size_t length = strlen(options[i].name);
            if (!(takes & 1u << i) || strncmp(option, options[i].name, length) != 0 ||
                option[length] != '=')
                continue;
            if (seen & 1u << i)
                return cn_fail(err, CN_ERR_ARGUMENT, "%s: option \"%.40s\": it was given before",
                               kind, option);
            seen |= 1u << i;
            known = options[i].read(option + length + 1, &found);
            found.given |= 1u << i;
        }
        if (!known) return refuse(option, takes, kind, err);
        text += size;
    }
    *opts = found;
    return CN_OK;
}
