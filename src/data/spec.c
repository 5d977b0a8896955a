/* spec.c - which data set a text means: "digits", "mnist:DIR", or a directory. */
#include "base/signature.h"
#include "data/dataset.h"
#include "data/images.h"
#include "data/paths.h"

#include <stdio.h>
#include <string.h>

/* The kinds there are. A directory is of the first kind that detects itself in it. */
static const cn_reader *const readers[] = {
    &cn_reader_digits,   &cn_reader_mnist, &cn_reader_idx,    &cn_reader_cifar10,
    &cn_reader_cifar100, &cn_reader_hdf5,  &cn_reader_npz,    &cn_reader_npy,
    &cn_reader_csv,      &cn_reader_masks, &cn_reader_folder, NULL,
};

/* Adds to a text of `size` bytes what still fits. */
static void append(char *text, size_t size, const char *word)
{
    size_t used = strlen(text), length = strlen(word);
    if (length > size - used - 1) length = size - used - 1;
    memcpy(text + used, word, length);
    text[used + length] = 0;
}

/* Adds a word, of which the first is cut where it has no room; false where a later one has none. */
static bool append_to_list(char *text, size_t size, const char *word)
{
    if (text[0] && strlen(text) + 2 + strlen(word) >= size) return false;
    if (text[0]) append(text, size, ", ");
    append(text, size, word);
    return true;
}

/* "digits, mnist:DIR, idx:DIR" */
enum { KINDS_TEXT = 136, FOUND_TEXT = 40 };
static const char *kinds(char text[KINDS_TEXT])
{
    text[0] = 0;
    for (int i = 0; readers[i]; i++) append_to_list(text, KINDS_TEXT, readers[i]->usage);
    return text;
}

/* The first names in a directory, for the message that none of them is known. */
static cn_status nothing_known(const char *path, cn_error *err)
{
    char known[KINDS_TEXT], found[FOUND_TEXT] = "", name[FOUND_TEXT];
    cn_names names = {NULL, 0};
    int shown = 0;
    cn_status status = cn_names_list(&names, path, NULL, err);
    if (status != CN_OK) return status;
    while (shown < names.count && shown < 3 &&
           append_to_list(found, FOUND_TEXT, cn_plain_text(names.names[shown], name, sizeof name)))
        shown++;
    const char *more = names.count > shown ? ", ..." : "";
    if (names.count && cn_is_image_name(names.names[0]))
        status = cn_fail(err, CN_ERR_UNSUPPORTED,
                         "%.80s: expected a sub-folder of images for each class, or a table of "
                         "images and labels (csv:PATH), found images: %s%s",
                         path, found, more);
    else
        status = cn_fail(err, CN_ERR_UNSUPPORTED,
                         "%.50s: no data set recognized: found %s%s; the kinds are %s", path,
                         names.count ? found : "nothing", more, kinds(known));
    cn_names_free(&names);
    return status;
}

/* Loads a split with a reader that may know only the two parts to train and to test on. */
static cn_status load_split(cn_dataset **data, const cn_reader *reader, const char *path,
                            const cn_request *request, cn_error *err)
{
    cn_request part = *request;
    cn_dataset *train = NULL, *test = NULL;
    if (!reader->two_parts || request->split <= CN_SUBSET_TEST)
        return reader->load(data, path, request, err);
    if (request->split == CN_SUBSET_VALIDATION) return CN_OK;
    part.split = CN_SUBSET_TRAIN;
    cn_status status =
        request->split == CN_SUBSET_ALL ? reader->load(&train, path, &part, err) : CN_OK;
    part.split = CN_SUBSET_TEST;
    size_t used = train ? cn_dataset_memory(train) : 0;
    part.memory = cn_memory_left(part.memory, used);
    if (status == CN_OK) status = reader->load(&test, path, &part, err);
    if (status == CN_OK) return cn_dataset_join(data, train, test, err);
    cn_dataset_free(train);
    return status;
}

/* Options that are not given are as the model takes images, where there is one. */
static void follow_model(cn_data_opts *opts, const cn_model *model)
{
    const int *shape = cn_model_input_shape(model);
    cn_image_opts images = cn_model_image_opts(model);
    if (!(opts->given & CN_OPTION_SIZE)) {
        opts->height = shape[0];
        opts->width = shape[1];
    }
    if (!(opts->given & CN_OPTION_CHANNELS)) opts->channels = shape[2];
    if (!(opts->given & CN_OPTION_FIT)) opts->images.fit = images.fit;
    if (!(opts->given & CN_OPTION_BACKGROUND)) opts->images.background = images.background;
    if (!(opts->given & CN_OPTION_RESIZE)) opts->images.resize = images.resize;
    opts->images.deep = images.deep;
    opts->images.float_low = images.float_low;
    opts->images.float_high = images.float_high;
}

/* `spec` is the path, with options behind it or not. */
static cn_status load_kind(cn_dataset **data, const cn_reader *reader, const char *spec,
                           const cn_request *request, cn_error *err)
{
    char path[CN_PATH_ROOM];
    cn_data_opts opts = {.given = 0};
    cn_request full = *request;
    const char *options = reader->takes ? cn_spec_options(spec) : spec + strlen(spec);
    size_t length = (size_t)(options - spec);
    if (length >= CN_PATH_ROOM)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: %.80s...: the path is too long", reader->name,
                       spec);
    if (length == 0 && reader->takes)
        return cn_fail(err, CN_ERR_ARGUMENT, "%s: expected a path after the colon, found nothing",
                       reader->name);
    memcpy(path, spec, length);
    path[length] = 0;
    cn_status status = cn_data_opts_read(&opts, options, reader->takes, reader->name, err);
    if (status != CN_OK) return status;
    if (request->model) follow_model(&opts, request->model);
    full.opts = &opts;
    status = load_split(data, reader, path, &full, err);
    if (status == CN_OK && *data) cn_dataset_set_layout(*data, reader->name);
    return status;
}

static const cn_reader *kind_of_folder(const char *path)
{
    int i = 0;
    while (readers[i] && (!readers[i]->detects || !readers[i]->detects(path))) i++;
    return readers[i];
}

/* Options may stand behind the path. A folder that holds another one alone, as archives leave it,
 * is that one, unless that is a class. */
static cn_status load_directory(cn_dataset **data, const char *path, const char *options,
                                const cn_request *request, cn_error *err)
{
    char inner[CN_PATH_ROOM], spec[CN_PATH_ROOM + 1024];
    const cn_reader *kind = kind_of_folder(path), *within = NULL;
    if (strlen(path) < sizeof inner && (!kind || kind == &cn_reader_folder)) {
        strcpy(inner, path);
        if (cn_folder_unwrap(inner) && strcmp(inner, path) != 0) within = kind_of_folder(inner);
    }
    if (within) {
        cn_status status =
            cn_remark(request->remarks, err, "the set is what lies in %s", path = inner);
        if (status != CN_OK) return status;
        kind = within;
    }
    if (!kind) return nothing_known(path, err);
    if (!kind->takes && *options)
        return cn_fail(err, CN_ERR_ARGUMENT, "%.80s: %s takes no options, found %.60s", path,
                       kind->usage, options);
    if (snprintf(spec, sizeof spec, "%s%s", path, options) >= (int)sizeof spec)
        return cn_fail(err, CN_ERR_ARGUMENT, "%.80s...: the path is too long", path);
    return load_kind(data, kind, spec, request, err);
}

/* The kind of a file by its name's ending: set.npz, x_train.npy.gz; NULL for none. */
static const cn_reader *kind_of_file(const char *path)
{
    for (int i = 0; readers[i]; i++)
        for (int k = 0; readers[i]->endings[k]; k++)
            if (cn_path_ends_in(path, readers[i]->endings[k])) return readers[i];
    return NULL;
}

static cn_status load(cn_dataset **data, const char *spec, const cn_request *request, cn_error *err)
{
    char known[KINDS_TEXT], path[CN_PATH_ROOM];
    size_t length = strcspn(spec, ":");
    for (int i = 0; readers[i]; i++)
        if (strlen(readers[i]->name) == length && strncmp(readers[i]->name, spec, length) == 0)
            return load_kind(data, readers[i], spec + length + (spec[length] == ':'), request, err);
    if (cn_is_folder(spec)) return load_directory(data, spec, "", request, err);
    size_t options = (size_t)(cn_spec_options(spec) - spec);
    if (options < CN_PATH_ROOM) {
        memcpy(path, spec, options);
        path[options] = 0;
        if (cn_is_folder(path)) return load_directory(data, path, spec + options, request, err);
        const cn_reader *kind = kind_of_file(path);
        if (kind) return load_kind(data, kind, spec, request, err);
    }
    const cn_signature *other = cn_signature_of_file(spec);
    return cn_fail(err, CN_ERR_ARGUMENT,
                   "%.50s: neither a folder nor a kind of data set%s%s; the kinds are %s", spec,
                   other ? ", but " : "", other ? other->name : "", kinds(known));
}

cn_status cn_dataset_load(cn_dataset **data, const char *spec, cn_subset split,
                          const cn_dataset_opts *opts, cn_error *err)
{
    if (!data || !spec) return cn_fail(err, CN_ERR_ARGUMENT, "dataset: NULL argument");
    if (split < CN_SUBSET_TRAIN || split > CN_SUBSET_TEST_OR_ALL)
        return cn_fail(err, CN_ERR_ARGUMENT, "%.80s: unknown split %d", spec, (int)split);
    if (opts && (opts->height < 0 || opts->width < 0 || !opts->height != !opts->width))
        return cn_fail(err, CN_ERR_ARGUMENT, "%.80s: images of %d x %d, expected 0 or more of both",
                       spec, opts->height, opts->width);
    cn_remarks remarks = {.text = NULL};
    cn_dataset *loaded = NULL;
    cn_request request = {.split = split,
                          .skip_damaged = opts && opts->skip_damaged,
                          .remarks = &remarks,
                          .height = opts ? opts->height : 0,
                          .width = opts ? opts->width : 0,
                          .model = opts ? opts->model : NULL,
                          .memory = opts ? opts->memory : 0};
    if (opts) request.report = (cn_report){opts->progress, opts->user};
    cn_status status = load(&loaded, spec, &request, err);
    if (status == CN_OK && loaded && split == CN_SUBSET_TRAIN)
        status = cn_remark_on_balance(loaded, &remarks, err);
    if (status != CN_OK) {
        cn_dataset_free(loaded);
        loaded = NULL;
    }
    if (loaded) cn_dataset_set_remarks(loaded, &remarks);
    if (status == CN_OK) *data = loaded;
    cn_release(remarks.text);
    return status;
}
