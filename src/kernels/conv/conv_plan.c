/* conv_plan.c - which method computes each pass of a convolution: see conv.h. */
#include "kernels/conv/conv.h"

#include <stdio.h>
#include <string.h>

/* The first method of the table that supports the pass. The last one supports every pass. */
static void plan_pass(cn_conv_pass *pass)
{
    const char *only = pass->options.method;
    const cn_conv_method *const *row = pass->methods;
    for (; row[1]; row++) {
        if (only && strcmp((*row)->name, only) != 0) continue;
        if ((*row)->run[pass->direction] && (*row)->supports(pass)) break;
    }
    pass->method = *row;
    pass->method->plan(pass);
}

void cn_conv_plan_make(cn_conv_plan *plan, const cn_conv_method *const *methods,
                       const cn_conv_problem *problem, cn_conv_options options)
{
    memset(plan, 0, sizeof *plan);
    if (options.threads < 1) options.threads = 1;
    for (int d = 0; d < CN_CONV_DIRECTIONS; d++) {
        cn_conv_pass *pass = plan->passes[d];
        *pass = (cn_conv_pass){.direction = (cn_conv_direction)d,
                               .problem = *problem,
                               .options = options,
                               .methods = methods};
        plan_pass(pass);
        if (pass->scratch > plan->scratch) plan->scratch = pass->scratch;
    }
    plan->packed = plan->passes[CN_CONV_FORWARD]->packed;
}

void cn_conv_plan_inner(cn_conv_pass *pass, const cn_conv_problem *problem, int threads)
{
    pass[1] = (cn_conv_pass){.direction = pass->direction,
                             .problem = *problem,
                             .options = pass->options,
                             .methods = pass->methods};
    pass[1].options.threads = threads;
    pass[1].options.method = NULL;
    plan_pass(&pass[1]);
}

static void describe_pass(const cn_conv_pass *pass, char *text, size_t room)
{
    char tile[32] = "";
    if (pass->tile[0]) snprintf(tile, sizeof tile, " %dx%d", pass->tile[0], pass->tile[1]);
    snprintf(text, room, "%s%s%s", pass->method->name, tile, pass->pairs ? " bf16" : "");
}

void cn_conv_plan_describe(const cn_conv_plan *plan, cn_conv_direction direction,
                           char text[CN_CONV_TEXT])
{
    const cn_conv_pass *pass = plan->passes[direction];
    describe_pass(pass, text, CN_CONV_TEXT);
    if (!pass[1].method) return;
    const size_t used = strlen(text);
    snprintf(text + used, CN_CONV_TEXT - used, ": ");
    describe_pass(&pass[1], text + used + 2, CN_CONV_TEXT - used - 2);
}

void cn_conv_pack(const cn_conv_plan *plan, const float *w, float *packed, cn_pool *pool)
{
    const cn_conv_pass *pass = plan->passes[CN_CONV_FORWARD];
    pass->method->pack(pass, w, packed, pool);
}

void cn_conv_run(const cn_conv_plan *plan, cn_conv_direction direction, const cn_conv_args *args)
{
    const cn_conv_pass *pass = plan->passes[direction];
    pass->method->run[direction](pass, args);
}
