/* inputs.c - the images that arguments name: files, and what lies in folders. */
#include "inputs.h"

#include "base/base.h"
#include "data/images.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static cn_status out_of_memory(cn_error *err)
{
    return cn_fail(err, CN_ERR_MEMORY, "out of memory");
}

/* "folder/name", or the name alone without a folder. */
static cn_status add(cli_inputs *inputs, const char *folder, const char *name, cn_error *err)
{
    if (inputs->count == inputs->room) {
        int room = inputs->room ? 2 * inputs->room : 64;
        cli_input *items = realloc(inputs->items, (size_t)room * sizeof *items);
        if (!items) return out_of_memory(err);
        inputs->items = items;
        inputs->room = room;
    }
    size_t length = folder ? strlen(folder) : 0;
    while (length > 1 && folder[length - 1] == '/') length--;
    char *path = malloc(length + strlen(name) + 2);
    if (!path) return out_of_memory(err);
    if (folder)
        sprintf(path, "%.*s/%s", (int)length, folder, name);
    else
        strcpy(path, name);
    const char *slash = strrchr(path, '/');
    const char *own = folder ? path + length : slash ? slash + 1 : path;
    inputs->items[inputs->count++] = (cli_input){path, own, false};
    return CN_OK;
}

static cn_status add_folder(cli_inputs *inputs, const char *folder, cn_error *err)
{
    cn_names files = {NULL, 0};
    int before = inputs->count;
    cn_status status = cn_names_walk(&files, folder, err);
    for (int i = 0; status == CN_OK && i < files.count; i++)
        if (cn_is_image_name(files.names[i])) status = add(inputs, folder, files.names[i], err);
    /* Without images it stays in the list, and the others are looked at. */
    if (status == CN_OK && inputs->count == before) {
        status = add(inputs, NULL, folder, err);
        if (status == CN_OK) inputs->items[before].is_empty = true;
    }
    cn_names_free(&files);
    inputs->folders = true;
    return status;
}

cn_status cli_inputs_find(cli_inputs *inputs, int count, char *const *operands, cn_error *err)
{
    struct stat about;
    cn_status status = CN_OK;
    for (int i = 0; status == CN_OK && i < count; i++)
        status = stat(operands[i], &about) == 0 && S_ISDIR(about.st_mode)
                     ? add_folder(inputs, operands[i], err)
                     : add(inputs, NULL, operands[i], err);
    return status;
}

void cli_inputs_free(cli_inputs *inputs)
{
    for (int i = 0; i < inputs->count; i++) free(inputs->items[i].path);
    free(inputs->items);
    *inputs = (cli_inputs){.items = NULL};
}

cn_status cli_make_folders(const char *path, cn_error *err)
{
    cn_status status = CN_OK;
    char *copy = strdup(path);
    if (!copy) return out_of_memory(err);
    for (char *slash = copy + 1; status == CN_OK && (slash = strchr(slash, '/')); slash++) {
        *slash = 0;
        if (mkdir(copy, 0777) != 0 && errno != EEXIST)
            status = cn_fail(err, CN_ERR_IO, "%.120s: %s", copy, cn_system_text(errno));
        *slash = '/';
    }
    free(copy);
    return status;
}
