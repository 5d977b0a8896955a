/*
 * augment_parse.c - an augmentation from a text: "flip crop=4 border=reflect".
 *
 *     augmentation = { word }              between them spaces or commas
 *     word         = name [ "=" value ]    each name once at most
 *
 * The table has the names, and what each takes.
 */
#include "train/augment.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char separators[] = " ,\t\r\n";

typedef enum kind {
    WHOLE,  /* int, at least 1 */
    CHOICE, /* an enum, named by one of `values` */
} kind;

typedef struct word {
    const char *name;
    kind kind;
    size_t offset;
    const char *values; /* as messages show them; of a choice, all of them */
    int first;          /* the constant of a choice's first value */
    bool alone;         /* the name without a value stands for the first one */
} word;

static const word words[] = {
    {"flip", CHOICE, offsetof(cn_augment, flip), "random|alternating", CN_FLIP_RANDOM, true},
    {"crop", WHOLE, offsetof(cn_augment, crop), "PIXELS", 0, false},
    {"border", CHOICE, offsetof(cn_augment, border), "zero|reflect", CN_BORDER_ZERO, false},
};
enum { WORDS = sizeof words / sizeof *words, WORD_TEXT = 48, LIST_TEXT = 160 };

static bool is_text(const char *text, size_t length, const char *wanted)
{
    return strlen(wanted) == length && memcmp(text, wanted, length) == 0;
}

/* The place of the value in "zero|reflect", or -1. */
static int choice(const char *value, size_t length, const char *values)
{
    for (int i = 0; *values; i++) {
        size_t one = strcspn(values, "|");
        if (one == length && memcmp(values, value, length) == 0) return i;
        values += one + (values[one] == '|');
    }
    return -1;
}

/* Sets the member from value[0..length-1], which is NULL where there was none. */
static bool set(const word *w, const char *value, size_t length, cn_augment *out)
{
    void *member = (char *)out + w->offset;
    if (w->kind == CHOICE) {
        int i = value ? choice(value, length, w->values) : w->alone ? 0 : -1;
        if (i >= 0) *(int *)member = w->first + i;
        return i >= 0;
    }
    char *end;
    if (!value || *value < '0' || *value > '9') return false;
    long number = strtol(value, &end, 10);
    if (end != value + length || number < 1 || number > INT_MAX) return false;
    *(int *)member = (int)number;
    return true;
}

/* "flip=random|alternating, crop=PIXELS, border=zero|reflect" */
static const char *list(char text[LIST_TEXT])
{
    int used = 0;
    for (int i = 0; i < WORDS && used < LIST_TEXT; i++)
        used += snprintf(text + used, (size_t)(LIST_TEXT - used), "%s%s=%s", i ? ", " : "",
                         words[i].name, words[i].values);
    return text;
}

/* Reads text[0..length-1]; `seen` has a bit for each word of the table. */
static cn_status read_word(const char *text, size_t length, unsigned *seen, cn_augment *out,
                           cn_error *err)
{
    char known[LIST_TEXT], found[WORD_TEXT];
    size_t name = 0;
    while (name < length && text[name] != '=') name++;
    const char *value = name < length ? text + name + 1 : NULL;
    snprintf(found, sizeof found, "%.*s", length < WORD_TEXT ? (int)length : WORD_TEXT, text);
    for (int i = 0; i < WORDS; i++) {
        if (!is_text(text, name, words[i].name)) continue;
        if (*seen & 1u << i)
            return cn_fail(err, CN_ERR_ARGUMENT, "augmentation: \"%s\": there are two of %s", found,
                           words[i].name);
        *seen |= 1u << i;
        if (set(&words[i], value, value ? length - name - 1 : 0, out)) return CN_OK;
        return cn_fail(err, CN_ERR_ARGUMENT, "augmentation: expected %s=%s, found \"%s\"",
                       words[i].name, words[i].values, found);
    }
    return cn_fail(err, CN_ERR_ARGUMENT, "augmentation: expected %s, found \"%s\"", list(known),
                   found);
}

cn_status cn_augment_parse(cn_augment *augment, const char *text, cn_error *err)
{
    if (!augment || !text) return cn_fail(err, CN_ERR_ARGUMENT, "augmentation: NULL argument");
    cn_augment made = {0};
    unsigned seen = 0;
    for (text += strspn(text, separators); *text; text += strspn(text, separators)) {
        size_t length = strcspn(text, separators);
        cn_status status = read_word(text, length, &seen, &made, err);
        if (status != CN_OK) return status;
        text += length;
    }
    *augment = made;
    return CN_OK;
}
