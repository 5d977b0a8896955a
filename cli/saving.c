/* saving.c - the files that a training writes: whether it can, and what to do when it cannot. */
#include "saving.h"

#include "base/base.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Formats of others, by the ending of the name. */
static bool is_exported(const char *out)
{
    return cn_ends_in(out, ".onnx") || cn_ends_in(out, ".npz");
}

int cli_check_out(const char *option, const char *out)
{
    struct stat info;
    if (!*out) return cli_error("train", "%s is empty, expected a file's name", option);
    bool keras = cn_ends_in(out, ".h5") || cn_ends_in(out, ".keras");
    bool model = strcmp(option, "--out") == 0, checkpoint = strcmp(option, "--checkpoint") == 0;
    if (keras && model)
        return cli_error("train",
                         "%s: files for Keras are made by \"convnet convert\": train into a "
                         ".safetensors file",
                         out);
    if (checkpoint && (keras || is_exported(out)))
        return cli_error("train", "%s: a checkpoint is a .safetensors file", out);
    bool there = stat(out, &info) == 0;
    if (there ? !S_ISREG(info.st_mode) : lstat(out, &info) == 0)
        return cli_error("train", "%s: %s, so nothing can be written there", out,
                         there ? "not a regular file" : "a link that leads nowhere");
    const char *slash = strrchr(out, '/');
    char *folder = strdup(slash ? out : ".");
    if (!folder) return cli_error("train", "out of memory");
    if (slash) folder[slash == out ? 1 : slash - out] = '\0';
    int code = CLI_DONE;
    if (access(folder, W_OK | X_OK) != 0)
        code = cli_error("train", "%s: nothing can be written in %s: %s", out, folder,
                         cn_system_text(errno));
    free(folder);
    return code;
}

int cli_save(const cn_model *model, const char *out)
{
    cn_error err;
    char rescue[4096];
    cn_status status = is_exported(out) ? cn_model_export(model, out, NULL, &err)
                                        : cn_model_save(model, out, &err);
    if (status == CN_OK) return CLI_DONE;
    cli_error("train", "%s", err.text);
    const char *slash = strrchr(out, '/'), *folder = getenv("TMPDIR");
    int length =
        snprintf(rescue, sizeof rescue, "%s/%ld-%s%s", folder && *folder ? folder : "/tmp",
                 (long)getpid(), slash ? slash + 1 : out, is_exported(out) ? ".safetensors" : "");
    if (length < (int)sizeof rescue && cn_model_save(model, rescue, &err) == CN_OK)
        return cli_error("train", "the model is in %s instead", rescue);
    return cli_error("train", "%s; the model is lost", err.text);
}
