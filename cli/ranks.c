/* ranks.c - joins the ranks of MPI, and lets the first of them speak for all. */
#include "ranks.h"

#include "base/base.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Standard output to nowhere, standard error into a file without a name. */
static bool be_silent(cli_ranks *r)
{
    fflush(stdout);
    fflush(stderr);
    r->held = tmpfile();
    r->errors = dup(STDERR_FILENO);
    if (!r->held || r->errors < 0 || dup2(fileno(r->held), STDERR_FILENO) < 0) return false;
    return freopen("/dev/null", "w", stdout) != NULL;
}

int cli_ranks_open(cli_ranks *r, const char *command)
{
    cn_error err;
    *r = (cli_ranks){.comm.size = 1, .errors = -1};
    int launched = cn_mpi_launched();
    r->launched = launched > 0;
    cn_status status = CN_OK;
    if (launched > 0) status = cn_mpi_open(&r->comm, &err);
    if (status == CN_ERR_UNSUPPORTED && launched == 1) status = CN_OK; /* alone, after all */
    if (status == CN_OK) status = cn_group_create(&r->group, cli_ranks_communicator(r), &err);
    if (status != CN_OK) return cli_error(command, "%s", err.text);
    if (r->comm.rank > 0 && !be_silent(r))
        return cli_error(command, "rank %d: standard error cannot be redirected", r->comm.rank);
    return CLI_DONE;
}

/* What was held back goes to the standard error that there was, line by line with its rank. */
static void speak(cli_ranks *r)
{
    char line[1024], text[1200];
    fflush(stderr);
    rewind(r->held);
    while (fgets(line, sizeof line, r->held)) {
        int length =
            snprintf(text, sizeof text, "rank %d of %d: %s", r->comm.rank, r->comm.size, line);
        if (write(r->errors, text, (size_t)length) < 0) return;
    }
}

int cli_ranks_agree(cli_ranks *r, int code)
{
    if (r->comm.size == 1) return code;
    int *codes = calloc((size_t)r->comm.size, sizeof *codes), first = 0;
    if (!codes) return code == CLI_DONE ? CLI_FAILED : code;
    codes[r->comm.rank] = code;
    if (cn_group_gather(&r->group, sizeof *codes, codes, NULL) != CN_OK) codes[0] = CLI_FAILED;
    while (first < r->comm.size && codes[first] == CLI_DONE) first++;
    if (first < r->comm.size) code = codes[first];
    if (first == r->comm.rank && first > 0) speak(r);
    free(codes);
    return code;
}

void cli_ranks_close(cli_ranks *r)
{
    cn_group_free(&r->group);
    cn_mpi_close(&r->comm);
    if (r->held) fclose(r->held);
    if (r->errors >= 0) close(r->errors);
}

const cn_communicator *cli_ranks_communicator(const cli_ranks *r)
{
    return r->comm.exchange ? &r->comm : NULL;
}

const char *cli_ranks_text(const cli_ranks *r, char text[CLI_COUNT_TEXT * 2])
{
    text[0] = '\0';
    if (cli_ranks_communicator(r))
        snprintf(text, CLI_COUNT_TEXT * 2, "%d rank%s on %d host%s, ", r->comm.size,
                 cn_plural(r->comm.size), r->comm.hosts, cn_plural(r->comm.hosts));
    return text;
}
