/* reading.c - loads data sets: shares the budget of memory out, and shows how far it has come. */
#include "reading.h"

#include "base/cgroup.h"
#include "data/dataset.h"
#include "formats/model_file.h"
#include "model/model.h"
#include "train/train.h"

void cli_reading_begin(cli_reading *r, const cli_common *common, size_t memory,
                       const cli_ranks *ranks)
{
    bool alone = !ranks || !cli_ranks_communicator(ranks);
    int hosts = alone || ranks->comm.hosts < 1 ? 1 : ranks->comm.hosts;
    *r = (cli_reading){.budget = memory,
                       .share = alone ? 1 : (ranks->comm.size - 1) / hosts + 1,
                       .terminal = !common->quiet && cli_is_terminal(stderr)};
}

/* Sets that are read in an instant show nothing. */
static bool on_progress(int done, int total, void *user)
{
    cli_reading *r = user;
    char n[CLI_COUNT_TEXT], all[CLI_COUNT_TEXT];
    const double patience = 0.5, interval = 0.1;
    double now = cli_seconds();
    if (!r->terminal || now - r->start < patience || now - r->drawn < interval) return false;
    fprintf(stderr, "\r\033[KReading %s of %s images", cli_count_text((size_t)done, n),
            cli_count_text((size_t)total, all));
    fflush(stderr);
    r->drawn = now;
    r->visible = true;
    return false;
}

/* 0, what the library makes of it, where nothing is said; several processes here share the system's half. */
static size_t memory_left(const cli_reading *r)
{
    size_t budget = r->budget;
    if (budget == 0 && r->share == 1) return 0;
    if (budget == 0) return cn_memory_available("") / 2 / (size_t)r->share;
    return budget > r->used ? budget - r->used : 1;
}

cn_status cli_reading_load(cli_reading *r, cn_dataset **data, const char *spec, cn_subset subset,
                           cn_error *err)
{
    cn_dataset *loaded = NULL;
    cn_dataset_opts opts = r->opts;
    r->start = cli_seconds();
    opts.memory = memory_left(r);
    opts.progress = on_progress;
    opts.user = r;
    cn_status status = cn_dataset_load(&loaded, spec, subset, &opts, err);
    if (r->visible) fputs("\r\033[K", stderr);
    r->visible = false;
    if (loaded) r->used += cn_dataset_memory(loaded);
    *data = loaded;
    return status;
}

/* ---- beside a training */

/* Code, libraries, stacks, and what files are decoded in. */
enum { PROCESS_BYTES = 30 * 1000 * 1000 };

size_t cli_memory_for_images(size_t memory)
{
    return memory > 2 * PROCESS_BYTES ? memory - PROCESS_BYTES : memory;
}

/* Of the network with the shapes of the model; 0 where there is no such network. */
static size_t training_memory(const cn_model *shapes, const cn_fit_opts *opts, int batch)
{
    cn_memory memory;
    cn_fit_opts changed = *opts;
    changed.batch = batch;
    return shapes && cn_fit_memory(shapes, &changed, &memory, NULL) == CN_OK ? memory.total : 0;
}

/* The cached images of the sets make room for a training that takes so much. */
static void shrink(const cli_reading *r, size_t training, const cn_dataset *sets[3])
{
    const size_t left = r->budget > training ? r->budget - training : 0;
    size_t room[3] = {0}; /* before any of them changes: two may share a cache */
    for (int i = 0; i < 3; i++)
        if (sets[i])
            room[i] =
                (size_t)((double)cn_dataset_memory(sets[i]) * (double)left / ((double)r->used + 1));
    for (int i = 0; i < 3; i++)
        if (sets[i]) cn_dataset_shrink(sets[i], room[i]);
}

cli_room cli_reading_leave(const cli_reading *r, const char *network, const cn_fit_opts *opts,
                           const cn_dataset *sets[3])
{
    cn_model *shapes = NULL;
    if (cli_is_model_file(network))
        (void)cli_load_model_for(&shapes, network, sets[0], true, NULL);
    else
        (void)cn_model_parse_shapes(&shapes, network, cn_dataset_shape(sets[0]),
                                    cn_dataset_classes(sets[0]), NULL);
    cli_room room = {.training = training_memory(shapes, opts, opts->batch)};
    room.fits = room.training <= r->budget;
    for (int batch = opts->batch / 2; !room.fits && !room.batch && batch > 0; batch /= 2) {
        const size_t smaller = batch % opts->shards ? 0 : training_memory(shapes, opts, batch);
        if (smaller > 0 && smaller <= r->budget) room.batch = batch, room.smaller = smaller;
    }
    cn_model_free(shapes);
    shrink(r, room.training, sets);
    return room;
}
