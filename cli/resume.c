/* resume.c - what a checkpoint keeps of the command that began a training. */
#include "resume.h"

#include "base/json.h"

#include <stdlib.h>
#include <string.h>

enum { NOTE_SIZE = 65536 };

/* How many of the arguments from this one on are this run's own affair. */
static int private_arguments(const char *argument)
{
    static const char *const flags[] = {"json", "quiet", "stretch-schedule"}, *const texts[] = {
                                                                                  "resume",
                                                                                  "checkpoint"};
    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
        if (cli_is_option(argument, flags[i])) return 1;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (cli_is_option(argument, texts[i])) return strchr(argument, '=') ? 1 : 2;
    return 0;
}

static bool append_arguments(json_t *list, const cli_common *common)
{
    for (int i = 0; i < common->argument_count;) {
        int skip = private_arguments(common->arguments[i]);
        if (skip == 0 && json_array_append_new(list, json_string(common->arguments[i])) != 0)
            return false;
        i += skip ? skip : 1;
    }
    return true;
}

json_t *cli_arguments_of(const cli_common *common)
{
    json_t *list = json_array();
    if (list && append_arguments(list, common)) return list;
    json_decref(list);
    return NULL;
}

/* The list in the checkpoint's note; NULL with the error printed. */
static json_t *read_list(const char *file)
{
    cn_error err;
    json_t *list = NULL;
    char *note = malloc(NOTE_SIZE);
    if (!note) {
        cli_error("train", "out of memory");
        return NULL;
    }
    if (cn_checkpoint_note(file, note, NOTE_SIZE, &err) != CN_OK) {
        cli_error("train", "%s", err.text);
    } else {
        if (cn_json_read(&list, note, strlen(note), file, "note", 0, &err) != CN_OK) list = NULL;
        bool texts = json_is_array(list);
        for (size_t i = 0; texts && i < json_array_size(list); i++)
            texts = json_is_string(json_array_get(list, i));
        if (!texts) {
            cli_error("train", "%s: convnet train did not write this checkpoint", file);
            json_decref(list);
            list = NULL;
        }
    }
    free(note);
    return list;
}

int cli_arguments_resumed(const cli_command *command, const char *file, const cli_common *given,
                          void *options, json_t **list, char ***expanded)
{
    int code = CLI_FAILED, count = 0, operands;
    char **arguments = NULL;
    json_t *all = read_list(file);
    if (!all) return CLI_FAILED;
    size_t most = json_array_size(all) + (size_t)given->argument_count + 1;
    arguments = malloc(most * sizeof *arguments);
    if (!arguments) {
        cli_error("train", "out of memory");
        goto done;
    }
    for (size_t i = 0; i < json_array_size(all); i++)
        arguments[count++] = (char *)(uintptr_t)json_string_value(json_array_get(all, i));
    for (int i = 0; i < given->argument_count; i++) arguments[count++] = given->arguments[i];
    code = cli_parse(command, count, arguments, options, &operands);
    if (code == CLI_DONE && !append_arguments(all, given))
        code = cli_error("train", "out of memory, or an argument is not UTF-8");
done:
    if (code == CLI_DONE) {
        *list = all;
        *expanded = arguments;
        return code;
    }
    free(arguments);
    json_decref(all);
    return code;
}

bool cli_read_interval(const char *text, cn_fit_opts *opts)
{
    double n;
    const char *unit = cn_is_digit(*text) ? cn_number_scan(text, &n) : NULL;
    if (!unit) return false;
    unit += strspn(unit, " ");
    bool whole = n >= 1 && n <= 1e9 && n == (double)(int)n;
    if (whole && (!*unit || strcmp(unit, "epochs") == 0 || strcmp(unit, "epoch") == 0))
        opts->checkpoint.epochs = (int)n;
    else if (whole && (strcmp(unit, "steps") == 0 || strcmp(unit, "step") == 0))
        opts->checkpoint.steps = (int)n;
    else if (n > 0 && n <= 1e9 && strcmp(unit, "s") == 0)
        opts->checkpoint.seconds = n;
    else if (n > 0 && n <= 1e9 && strcmp(unit, "min") == 0)
        opts->checkpoint.seconds = 60 * n;
    else
        return false;
    return true;
}

char *cli_shell_word(const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "_-./:=,+@%";
    char *word = malloc(4 * strlen(text) + 3), *out = word; /* a quote becomes four letters */
    if (!word) return NULL;
    if (*text && text[strspn(text, plain)] == '\0') return strcpy(word, text);
    *out++ = '\'';
    for (; *text; text++) {
        if (*text == '\'') out = (char *)memcpy(out, "'\\'", 3) + 3;
        *out++ = *text;
    }
    memcpy(out, "'", 2);
    return word;
}
