/* options.c - reads arguments by a table of options, and prints it as help. */
#include "cli.h"

#include "base/base.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const cli_option common_options[] = {
    {"seed", CLI_SEED, offsetof(cli_common, seed), "N", "0", 0, 0,
     "where random numbers start; the same seed gives the same bits"},
    {"threads", CLI_WHOLE, offsetof(cli_common, threads), "N", NULL, 1, 1024,
     "how many threads to use; it never changes a result (default: OMP_NUM_THREADS, else the "
     "processors of this machine or container)"},
    {"quiet", CLI_FLAG, offsetof(cli_common, quiet), NULL, NULL, 0, 0,
     "print results and errors, nothing else"},
    {"json", CLI_FLAG, offsetof(cli_common, json), NULL, NULL, 0, 0,
     "print results as JSON, one object a line"},
    {"help", CLI_FLAG, offsetof(cli_common, help), NULL, NULL, 0, 0, "print this text"},
    {.name = NULL},
};

/* ---- one value */

static bool read_whole(const char *text, double min, double max, int *out)
{
    char *end;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || (!cn_is_digit(text[0]) && text[0] != '-')) return false;
    if (errno == ERANGE) return false;
    if ((double)value < min || (double)value > max) return false;
    *out = (int)value;
    return true;
}

static bool read_seed(const char *text, uint64_t *out)
{
    char *end;
    errno = 0;
    if (!cn_is_digit(*text)) return false;
    unsigned long long value = strtoull(text, &end, 10);
    if (*end != '\0' || errno == ERANGE) return false;
    *out = value;
    return true;
}

static bool read_number(const char *text, double min, double max, double *out)
{
    double value;
    if (!cn_number_read(text, &value) || value < min || value > max) return false;
    *out = value;
    return true;
}

/* "28x28x1" or "28x28", and NAME= before it; of a vector NAME=10. */
static bool read_shape(const char *text, cli_shapes *out)
{
    const char *equals = strrchr(text, '=');
    const size_t length = equals ? (size_t)(equals - text) : 0;
    int count = 0, n[3] = {0};
    if (out->count == CLI_SHAPES_MOST || length >= sizeof out->names[0]) return false;
    cn_input_size *size = &out->sizes[out->count];
    char *name = out->names[out->count];
    memcpy(name, text, length);
    if (equals) text = equals + 1;
    do {
        char *end;
        if (!cn_is_digit(*text) || count == 3) return false;
        errno = 0;
        long value = strtol(text, &end, 10);
        if (errno == ERANGE || value < 1 || value > 1000000) return false;
        n[count++] = (int)value;
        text = end;
    } while (*text++ == 'x');
    if (text[-1] || (count == 1 && !equals)) return false;
    if (count == 1) n[2] = n[0], n[0] = n[1] = 1;
    *size = (cn_input_size){equals ? name : NULL, {n[0], n[1], n[2]}};
    out->count++;
    return true;
}

static bool read_choice(const char *text, const char *words, int *out)
{
    size_t length = strlen(text);
    for (int i = 0; *words; i++) {
        size_t word = strcspn(words, "|");
        if (word == length && memcmp(words, text, length) == 0) {
            *out = i;
            return true;
        }
        words += word + (words[word] == '|');
    }
    return false;
}

/* A number of bytes; K, M, G and T stand for 10^3, 10^6, 10^9 and 10^12. */
static bool read_bytes(const char *text, size_t *out)
{
    static const char units[] = "KMGT";
    double number;
    const char *end = cn_number_scan(text, &number);
    if (!end || !(number > 0)) return false;
    const char *unit = *end ? strchr(units, *end) : NULL;
    for (const char *u = units; unit && u <= unit; u++) number *= 1000;
    if (unit) end++;
    if (*end == 'B') end++;
    if (*end || number < 1 || number > 1e18) return false;
    *out = (size_t)number;
    return true;
}

static bool read_item(const char *text, cli_list *out)
{
    if (out->count == CLI_LIST_MOST) return false;
    out->texts[out->count++] = text;
    return true;
}

static bool read_value(const cli_option *o, const char *text, void *base)
{
    void *out = (char *)base + o->offset;
    switch (o->kind) {
    case CLI_HEADING: break;
    case CLI_FLAG: *(bool *)out = true; return true;
    case CLI_WHOLE: return read_whole(text, o->min, o->max, out);
    case CLI_SEED: return read_seed(text, out);
    case CLI_NUMBER: return read_number(text, o->min, o->max, out);
    case CLI_TEXT: *(const char **)out = text; return true;
    case CLI_LIST: return read_item(text, out);
    case CLI_CHOICE: return read_choice(text, o->values, out);
    case CLI_SHAPE: return read_shape(text, out);
    case CLI_BYTES: return read_bytes(text, out);
    }
    return false;
}

/* "a whole number from 1 to 1000000" */
static void print_wanted(const cli_option *o)
{
    switch (o->kind) {
    case CLI_WHOLE: fprintf(stderr, "a whole number from %.0f to %.0f", o->min, o->max); break;
    case CLI_SEED: fprintf(stderr, "a whole number from 0 to 18446744073709551615"); break;
    case CLI_NUMBER: fprintf(stderr, "a number from %g to %g", o->min, o->max); break;
    case CLI_BYTES: fprintf(stderr, "a number of bytes, as in 500000, 300M or 2G"); break;
    case CLI_SHAPE: fprintf(stderr, "rows x columns x channels, as in 28x28x1"); break;
    case CLI_CHOICE:
        fprintf(stderr, "one of ");
        for (const char *c = o->values; *c; c++) {
            if (*c == '|')
                fprintf(stderr, ", ");
            else
                fputc(*c, stderr);
        }
        break;
    case CLI_LIST: fprintf(stderr, "at most %d values", CLI_LIST_MOST); break;
    case CLI_HEADING:
    case CLI_FLAG:
    case CLI_TEXT: fprintf(stderr, "a value"); break;
    }
}

/* ---- slips of the keyboard */

/* What was begun but not ended, --opt for --optimizer, or ended otherwise, --dataset for --data;
 * and a part of what is wanted, --decay for --weight-decay. */
static bool is_meant(const char *word, const char *name)
{
    size_t length = strlen(word), whole = strlen(name);
    if (length < 3 || whole < 3) return false;
    if (strncmp(word, name, length < whole ? length : whole) == 0) return true;
    const char *part = strstr(name, word);
    return part && part > name && part[-1] == '-' && (part[length] == '-' || !part[length]);
}

const char *cli_nearest(const char *word, const char *(*next)(const void *list, int i),
                        const void *list)
{
    const char *nearest = NULL, *name;
    int best = 3; /* three letters away is another word */
    size_t length = strlen(word);
    if (length > 100) return NULL;
    for (int i = 0; (name = next(list, i)); i++) {
        int d = is_meant(word, name) ? 0 : cn_text_distance(word, name);
        if (d < best && d < (int)strlen(name)) {
            best = d;
            nearest = name;
        }
    }
    return nearest;
}

/* Other words for options, which --help does not list. */
static const struct {
    const char *alias, *name;
} aliases[] = {
    {"images", "images"},
    {"batch", "batch-size"},
    {"learningrate", "learning-rate"},
    {"lr", "learning-rate"},
    {"plateau", "plateau-patience"},
    {"rate", "learning-rate"},
    {"valid", "validation-split"},
    {"valid-seed", "validation-seed"},
};

/* The name that a word of so many letters stands for: itself unless it is an alias. */
static const char *resolve(const char *word, size_t *length)
{
    for (size_t i = 0; i < sizeof aliases / sizeof *aliases; i++)
        if (strlen(aliases[i].alias) == *length && memcmp(aliases[i].alias, word, *length) == 0) {
            *length = strlen(aliases[i].name);
            return aliases[i].name;
        }
    return word;
}

bool cli_is_option(const char *argument, const char *option)
{
    if (strncmp(argument, "--", 2) != 0) return false;
    size_t length = strcspn(argument + 2, "=");
    const char *name = resolve(argument + 2, &length);
    return strlen(option) == length && memcmp(option, name, length) == 0;
}

bool cli_is_given(const cli_common *common, const char *option)
{
    for (int i = 0; i < common->argument_count; i++)
        if (cli_is_option(common->arguments[i], option)) return true;
    return false;
}

/* Is a common option none of this command, for which it would change nothing? */
static bool is_unused(const cli_command *command, const char *name)
{
    for (int i = 0; i < 2; i++)
        if (command->unused[i] && strcmp(command->unused[i], name) == 0) return true;
    return false;
}

/* The command's options, headings left out, then the common ones. */
static const cli_option *option_at(const cli_command *command, int i)
{
    const cli_option *o = command->options;
    for (; o && o->name; o++)
        if (o->kind != CLI_HEADING && i-- == 0) return o;
    for (o = common_options; o->name; o++)
        if (!is_unused(command, o->name) && i-- == 0) return o;
    return NULL;
}

static const char *option_name(const void *command, int i)
{
    const cli_option *o = option_at(command, i);
    return o ? o->name : NULL;
}

/* ---- the arguments */

static int wrong(const cli_command *command, const char *format, ...) CLI_PRINTF(2, 3);
static int wrong(const cli_command *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "convnet %s: ", command->name);
    vfprintf(stderr, format, args);
    fprintf(stderr, "; convnet %s --help tells more\n", command->name);
    va_end(args);
    return CLI_USAGE;
}

static const cli_option *find_option(const cli_command *command, const char *name, size_t length)
{
    const cli_option *o;
    name = resolve(name, &length);
    for (int i = 0; (o = option_at(command, i)); i++)
        if (strlen(o->name) == length && memcmp(o->name, name, length) == 0) return o;
    return NULL;
}

static int unknown_option(const cli_command *command, const char *argument)
{
    char name[64];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(argument, "="), argument);
    for (const cli_option *o = common_options; o->name; o++)
        if (is_unused(command, o->name) && cli_is_option(name, o->name))
            return wrong(command, "--%s changes nothing here", o->name);
    const char *near = cli_nearest(name + strspn(name, "-"), option_name, command);
    if (!near) return wrong(command, "there is no option %s", name);
    fprintf(stderr, "convnet %s: there is no option %s; did you mean --%s?\n", command->name, name,
            near);
    return CLI_USAGE;
}

/* The option at argv[*i] and its value, which may be the next argument. */
static int parse_option(const cli_command *command, char **argv, int argc, int *i, void *options)
{
    const char *argument = argv[*i], *name = argument + 2;
    if (strcmp(argument, "-h") == 0)
        name = "help";
    else if (argument[1] != '-')
        return unknown_option(command, argument);
    const char *equals = strchr(name, '=');
    const cli_option *o =
        find_option(command, name, equals ? (size_t)(equals - name) : strlen(name));
    if (!o) return unknown_option(command, argument);

    const char *value = equals ? equals + 1 : NULL;
    if (o->kind == CLI_FLAG && value) return wrong(command, "--%s takes no value", o->name);
    if (o->kind != CLI_FLAG && !value) {
        if (*i + 1 >= argc) return wrong(command, "--%s wants a value", o->name);
        value = argv[++*i];
    }
    if (!read_value(o, value, options)) {
        fprintf(stderr, "convnet %s: --%s wants ", command->name, o->name);
        print_wanted(o);
        fprintf(stderr, ", not \"%s\"\n", value);
        return CLI_USAGE;
    }
    return CLI_DONE;
}

int cli_parse(const cli_command *command, int argc, char **argv, void *options, int *count)
{
    const cli_option *o;
    bool only_operands = false;
    for (int i = 0; (o = option_at(command, i)); i++)
        if (o->initial) read_value(o, o->initial, options);
    ((cli_common *)options)->arguments = argv;
    ((cli_common *)options)->argument_count = argc;
    *count = 0;
    for (int i = 0; i < argc; i++) {
        if (only_operands || argv[i][0] != '-' || argv[i][1] == '\0') {
            argv[(*count)++] = argv[i];
        } else if (strcmp(argv[i], "--") == 0) {
            only_operands = true;
        } else {
            int code = parse_option(command, argv, argc, &i, options);
            if (code != CLI_DONE) return code;
        }
    }
    if (((const cli_common *)options)->help) return CLI_DONE;
    if (*count > command->max_operands)
        return wrong(command, "what is \"%s\" for?", argv[command->max_operands]);
    if (*count < command->min_operands) return wrong(command, "%s is missing", command->operands);
    return CLI_DONE;
}

/* ---- help */

enum { HELP_WIDTH = 80 };

/* Words up to the end of the line, from `column` on, in lines that begin at `indent`. */
static void print_wrapped(const char *text, int column, int indent)
{
    while (*text && *text != '\n') {
        int word = (int)strcspn(text, " \n");
        if (column > indent && column + 1 + word > HELP_WIDTH) {
            printf("\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", word, text);
        column += word;
        text += word + (text[word] == ' ');
    }
    putchar('\n');
}

/* Each line is a paragraph to wrap; one that begins with a space is printed as it is. */
static void print_paragraphs(const char *text)
{
    while (*text) {
        int length = (int)strcspn(text, "\n");
        if (*text == ' ')
            printf("%.*s\n", length, text);
        else
            print_wrapped(text, 0, 0);
        text += length + (text[length] == '\n');
    }
}

static void print_option(const cli_option *o)
{
    enum { INDENT = 26 };
    char text[400];
    int used = printf("  --%s%s%s", o->name, o->values ? " " : "", o->values ? o->values : "");
    if (used > INDENT - 2) used = printf("\n") - 1;
    printf("%*s", INDENT - used, "");
    if (o->initial)
        snprintf(text, sizeof text, "%s (default: %s)", o->help, o->initial);
    else
        snprintf(text, sizeof text, "%s", o->help);
    print_wrapped(text, INDENT, INDENT);
}

void cli_print_help(const cli_command *command)
{
    const cli_option *o = command->options;
    printf("convnet %s - %s\n\n", command->name, command->summary);
    printf("Usage: convnet %s%s%s [OPTION...]\n\n", command->name, command->operands ? " " : "",
           command->operands ? command->operands : "");
    print_paragraphs(command->help);
    putchar('\n');
    if (o && o->name && o->kind != CLI_HEADING) printf("Options\n");
    for (; o && o->name; o++)
        if (o->kind == CLI_HEADING)
            printf("%s%s\n", o == command->options ? "" : "\n", o->name);
        else
            print_option(o);
    bool own = command->options && command->options->name;
    printf("%sCommon options\n", own ? "\n" : "");
    for (o = common_options; o->name; o++)
        if (!is_unused(command, o->name)) print_option(o);
}
