/*
 * cli.h - what the subcommands share.
 *
 * A subcommand is a file that ends in a const descriptor; main.c lists them. Its options are a
 * table, from which parsing, errors and --help come. Results go to standard output, all else to
 * standard error.
 */
#ifndef CLI_H
#define CLI_H

#include "convnet.h"

#include <jansson.h>
#include <stdio.h>

/* 0 done, 1 failed, 2 wrong usage; interrupted: 128 + the signal's number. */
enum { CLI_DONE = 0, CLI_FAILED = 1, CLI_USAGE = 2 };

/* ---- options (options.c) */

typedef enum cli_kind {
    CLI_HEADING, /* no option: its name stands over those that follow, in the help */
    CLI_FLAG,    /* bool: no value */
    CLI_WHOLE,   /* int, from min to max */
    CLI_SEED,    /* uint64_t */
    CLI_NUMBER,  /* double, from min to max */
    CLI_TEXT,    /* const char * */
    CLI_LIST,    /* cli_list: the option may be given several times */
    CLI_CHOICE,  /* int: the place of the value among the words of `values`, from 0 */
    CLI_SHAPE,   /* cli_shapes: "28x28x1", "28x28", "NAME=28x28x1"; it may be given several times */
    CLI_BYTES,   /* size_t: "300M" */
} cli_kind;

typedef struct cli_option {
    const char *name; /* without the dashes; NULL ends a table */
    cli_kind kind;
    size_t offset;       /* of the value in the subcommand's struct */
    const char *values;  /* what --help shows for the value; the words of a choice */
    const char *initial; /* the default, read like a value given; NULL leaves zero */
    double min, max;
    const char *help; /* may end in a remark on the default where `initial` is NULL */
} cli_option;

enum { CLI_LIST_MOST = 64 };
typedef struct cli_list {
    int count;
    const char *texts[CLI_LIST_MOST];
} cli_list;

/* Sizes of a model's inputs; 0 for the channels of "28x28". */
enum { CLI_SHAPES_MOST = 16 };
typedef struct cli_shapes {
    int count;
    cn_input_size sizes[CLI_SHAPES_MOST];
    char names[CLI_SHAPES_MOST][256];
} cli_shapes;

/* The options that subcommands have in common, and the first member of their structs. */
typedef struct cli_common {
    uint64_t seed;
    int threads;
    bool quiet, json, help;
    char **arguments; /* all that were given, as they were */
    int argument_count;
} cli_common;

typedef struct cli_command {
    const char *name;
    const char *summary;  /* one line */
    const char *operands; /* as usage shows them: "FILE IMAGE..." */
    int min_operands, max_operands;
    const char *help; /* paragraphs, a line each, which --help wraps, and indented examples, which
                         it does not; the options follow */
    const cli_option *options;
    const char *unused[2]; /* the common options that would change nothing: "seed", "threads" */
    size_t size;           /* of the struct that the options fill */
    int (*run)(const void *options, int count, char *const *operands);
} cli_command;

extern const cli_command cli_train, cli_evaluate, cli_predict, cli_summary, cli_gradcheck,
    cli_bench, cli_augment, cli_run, cli_convert, cli_check, cli_explain, cli_report;

/* --loss: the words in the order of cn_loss_kind. */
#define CLI_LOSSES                                                           \
    "auto|cross-entropy|binary-cross-entropy|mean-squared-error|dice|focal|" \
    "mean-absolute-error"

/* --skip-damaged, of whatever reads image files. */
#define CLI_SKIP_HELP \
    "leave image files out that cannot be read, and say which; else the first ends it"

/* --shape, of whatever takes a model. */
#define CLI_SHAPE_VALUES "[NAME=]HxW[xC]"
#define CLI_SHAPE_HELP                                                                         \
    "rows, columns and channels of an ONNX file's input, where the file leaves them open; of " \
    "several inputs, each"

/* --memory, of whatever reads sets. */
#define CLI_MEMORY_HELP                                                                        \
    "memory for images, as in 300M or 2G; what is more is read while it is used, to the same " \
    "result (default: half of what is free). The network takes what convnet summary says"

/* --precision, of whatever runs a network: the words in the order of cn_precision. */
#define CLI_PRECISIONS "f32|bf16"
#define CLI_PRECISION_HELP                                                                       \
    "what is multiplied in convolutions and dense layers: bf16 has fewer digits, and is faster " \
    "where the processor has AVX512_BF16"

/* --backend, of the same. */
#define CLI_BACKEND_HELP                                                                        \
    "what runs it: cpu, or reference, plain loops in double precision that share no code with " \
    "it, to check against; hundreds of times slower"

/* Fills `options` (zeroed, command->size bytes) from the arguments and moves the operands to the
 * front of argv; their number in *count. CLI_USAGE, with the error printed, or CLI_DONE. */
int cli_parse(const cli_command *command, int argc, char **argv, void *options, int *count);
void cli_print_help(const cli_command *command);

/* Is the argument "--option" or "--option=value", in this word or in another that stands for it? */
bool cli_is_option(const char *argument, const char *option);
/* Was the option given? */
bool cli_is_given(const cli_common *common, const char *option);

/* The name (of the list that next(i) walks, NULL at its end) that `word` may be a slip of; NULL
 * when none is near. */
const char *cli_nearest(const char *word, const char *(*next)(const void *list, int i),
                        const void *list);

/* ---- messages (output.c) */

#define CLI_PRINTF(string, first) __attribute__((format(printf, string, first)))

/* "convnet train: " and the text, on standard error. Returns CLI_FAILED. */
int cli_error(const char *command, const char *format, ...) CLI_PRINTF(2, 3);
/* A line on standard error, unless quiet. */
void cli_say(const cli_common *common, const char *format, ...) CLI_PRINTF(2, 3);

/* Says what there is to say about how a set was read, a line each, unless it was said of `before`,
 * which may be NULL: the sets of one training have remarks in common. */
void cli_say_remarks(const cli_common *common, const char *command, const cn_dataset *data,
                     const cn_dataset *before);

/* A name in a column of a table: on one line, cut or filled up with blanks to `width` characters of
 * UTF-8, flush left or right. Returns cell. */
enum { CLI_CELL = 512 };
const char *cli_cell(const char *name, int width, bool right, char cell[CLI_CELL]);
/* The characters that a name takes, on one line. */
int cli_name_width(const char *name);

/* "54,000" into text; returns text. */
enum { CLI_COUNT_TEXT = 32 };
const char *cli_count_text(size_t n, char text[CLI_COUNT_TEXT]);
/* Of images per second: "12,345", and below 10 with a decimal. */
const char *cli_rate_text(double rate, char text[CLI_COUNT_TEXT]);
/* "1.2 MiB" into text; returns text. */
const char *cli_bytes_text(size_t bytes, char text[CLI_COUNT_TEXT]);
/* "28 x 28 x 1" into text; returns text. */
const char *cli_shape_text(int rank, const int *shape, char text[CLI_COUNT_TEXT * 2]);

/* ---- JSON lines on standard output (output.c) */

/* Each adds a key; a number that is not finite becomes null, text that is not UTF-8 gets '?'. */
void cli_put_text(json_t *object, const char *key, const char *value);
void cli_put_number(json_t *object, const char *key, double value);
void cli_put_whole(json_t *object, const char *key, size_t value);
/* Prints the object on a line, at once, and gives it back. */
void cli_print_json(json_t *object);

/* ---- data (data_line.c) */

/* The line that tells what was understood, and with --json the event "data". `valid` may be NULL. */
void cli_announce_data(const cli_common *common, const char *spec, const cn_dataset *train,
                       const cn_dataset *valid, const cn_dataset *test);

/* ---- terminal (terminal.c) */

/* A terminal that understands colors and is wanted to show them. */
bool cli_colors(FILE *stream);
bool cli_is_terminal(FILE *stream);
int cli_terminal_width(FILE *stream);
double cli_seconds(void);

/* ---- models by name (models.c) */

/* The data's shape and classes for a zoo name, and what any other text gets: 28 x 28 x 1, 10. */
void cli_natural_shape(const char *model, int shape[3], int *classes);
/* A zoo network for such data, or layers that suit any images. */
const char *cli_default_model(const cn_dataset *data);
/* True for a zoo name. */
bool cli_is_zoo(const char *text);
/* True for text that means a file: it ends in .safetensors, or there is such a file. */
bool cli_is_model_file(const char *text);
/* A model from a file, with these sizes (NULL: none are given) where it leaves some open. */
cn_status cli_load_model(cn_model **model, const char *file, const cli_shapes *shapes,
                         cn_error *err);
/* Says how to give what an error calls open. */
cn_status cli_explain_open(cn_status status, cn_error *err);
/* The shape and the classes (0: not given) of a network by name or as layers. */
cn_status cli_network_shape(const char *text, const cli_shapes *shapes, int shape[3], int *classes,
                            cn_error *err);
/* A model from a file, a zoo name or layers; classes count for the last two, and may be 0 as above. */
cn_status cli_open_model(cn_model **model, const char *text, const cli_shapes *shapes, int classes,
                         uint64_t seed, cn_error *err);
/* A model from a file, or its shapes alone; its images are as large as the set's where it leaves that
 * open. */
cn_status cli_load_model_for(cn_model **model, const char *file, const cn_dataset *data,
                             bool shape_only, cn_error *err);
/* The same for a set's images, classes and task. */
cn_status cli_open_model_for(cn_model **model, const char *text, const cn_dataset *data,
                             uint64_t seed, cn_error *err);
/* The weights of others in `file`, as those of a network, which is a name or layers. Says which is
 * which, unless quiet, and always what has no counterpart; with `partial` that is no error. */
cn_status cli_open_weights(cn_model **model, const char *file, const char *network,
                           const int shape[3], int classes, bool partial, const cli_common *common,
                           cn_error *err);

#endif
