/*
 * augment_parse.c - an augmentation from a text: "flip crop=4 border=reflect".
 *
 *     augmentation = { word }              between them spaces or commas
 *     word         = name [ "=" value ]    each name once at most
 *
 * The table has the names, and what each takes.
 */
#include "augment/augment.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char separators[] = " ,\t\r\n";

typedef enum kind {
    WHOLE,  /* int, 0 or more */
    NUMBER, /* double, 0 or more */
    CHOICE, /* an enum, named by one of `values` */
} kind;

typedef struct word {
    const char *name;
    kind kind;
    size_t offset;
    int members;        /* how many members in a row it sets */
    const char *values; /* as messages show them; of a choice, all of them */
    int first;          /* the constant of a choice's first value */
    bool alone;         /* the name without a value stands for the first one */
    double usual;       /* which of a number is this one */
} word;

#define AT(member) offsetof(cn_augment, member)

static const word words[] = {
    {"flip", CHOICE, AT(flip), 1, "random|alternating|all", CN_FLIP_RANDOM, true, 0},
    {"border", CHOICE, AT(border), 1, "zero|reflect", CN_BORDER_ZERO, false, 0},
    {"crop", WHOLE, AT(crop), 1, "PIXELS", 0, false, 0},
    {"shift", NUMBER, AT(shift), 1, "PIXELS", 0, false, 0},
    {"rotate", NUMBER, AT(rotate), 1, "DEGREES", 0, false, 0},
    {"scale", NUMBER, AT(scale), 1, "FRACTION", 0, false, 0},
    {"jitter", NUMBER, AT(brightness), 3, "FRACTION", 0, false,
     0}, /* contrast and saturation follow */
    {"brightness", NUMBER, AT(brightness), 1, "FRACTION", 0, false, 0},
    {"contrast", NUMBER, AT(contrast), 1, "FRACTION", 0, false, 0},
    {"saturation", NUMBER, AT(saturation), 1, "FRACTION", 0, false, 0},
    {"cutout", WHOLE, AT(cutout), 1, "PIXELS", 0, false, 0},
    {"mixup", NUMBER, AT(mixup), 1, "ALPHA", 0, false, 0},
    {"random-resized-crop", NUMBER, AT(random_resized_crop), 1, "AREA", 0, true, 0.08},
};
enum { WORDS = sizeof words / sizeof *words, WORD_TEXT = 48, LIST_TEXT = 192 };

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

/* Sets the member from value[0..length-1]; NULL and 0 where there was none. */
static bool set(const word *w, const char *value, size_t length, cn_augment *out)
{
    void *member = (char *)out + w->offset;
    if (w->kind == CHOICE) {
        int i = value ? choice(value, length, w->values) : w->alone ? 0 : -1;
        if (i >= 0) *(int *)member = w->first + i;
        return i >= 0;
    }
    double number = w->usual;
    if (!value && w->alone) {
        *(double *)member = number;
        return true;
    }
    if (!length || *value == '-' || *value == '+' ||
        cn_number_scan(value, &number) != value + length)
        return false;
    if (w->kind == WHOLE) {
        if (number > INT_MAX || number != floor(number)) return false;
        *(int *)member = (int)number;
        return true;
    }
    for (int i = 0; i < w->members; i++) ((double *)member)[i] = number;
    return true;
}

/* "flip, border, crop" and so on. */
static const char *list(char text[LIST_TEXT])
{
    int used = 0;
    for (int i = 0; i < WORDS && used < LIST_TEXT; i++)
        used +=
            snprintf(text + used, (size_t)(LIST_TEXT - used), "%s%s", i ? ", " : "", words[i].name);
    return text;
}

/* Where the members end that a word sets. */
static size_t end_of(const word *w)
{
    return w->offset + (size_t)w->members * (w->kind == NUMBER ? sizeof(double) : sizeof(int));
}

/* Reads text[0..length-1]; `seen` has a bit for each word of the table. */
static cn_status read_word(const char *text, size_t length, unsigned *seen, cn_augment *out,
                           cn_error *err)
{
    char known[LIST_TEXT], found[WORD_TEXT];
    size_t name = 0;
    int at = 0;
    while (name < length && text[name] != '=') name++;
    snprintf(found, sizeof found, "%.*s", length < WORD_TEXT ? (int)length : WORD_TEXT, text);
    while (at < WORDS && !is_text(text, name, words[at].name)) at++;
    if (at == WORDS)
        return cn_fail(err, CN_ERR_ARGUMENT, "augmentation: expected one of %s, found \"%s\"",
                       list(known), found);
    /* No member twice, were it by jitter and brightness. */
    for (int i = 0; i < WORDS; i++)
        if ((*seen & 1u << i) && words[i].offset < end_of(&words[at]) &&
            words[at].offset < end_of(&words[i]))
            return cn_fail(err, CN_ERR_ARGUMENT, "augmentation: \"%s\": %s was given before", found,
                           words[i].name);
    *seen |= 1u << at;
    const char *value = name < length ? text + name + 1 : NULL;
    if (set(&words[at], value, value ? length - name - 1 : 0, out)) return CN_OK;
    return cn_fail(err, CN_ERR_ARGUMENT, "augmentation: expected %s=%s, found \"%s\"",
                   words[at].name, words[at].values, found);
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
