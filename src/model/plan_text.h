/* plan_text.h - a plan as rows, one per function that a session calls, and as text. */
#ifndef CN_PLAN_TEXT_H
#define CN_PLAN_TEXT_H

#include "model/plan.h"

enum { CN_ROW_LAYERS = 32, CN_ROW_METHOD = 2 * CN_METHOD_TEXT + 32, CN_ROW_TEXT = 4096 };

typedef struct cn_plan_row {
    const char *pass; /* "forward", "loss" or "backward" */
    /* The layer whose function runs, then those whose work it does, too. There may be more than
     * these: `layer_count` counts all of them. */
    const char *layers[CN_ROW_LAYERS];
    int layer_count;
    char method[CN_ROW_METHOD]; /* how; "" for the input, which the caller fills */
    /* What it writes: buffers, and for each the buffer that it is then added to, or CN_NO_BUFFER.
     */
    int buffers[CN_MAX_INPUTS], sums[CN_MAX_INPUTS], buffer_count;
    bool adds; /* it adds to its buffer, where another branch's output lies */
} cn_plan_row;

/* The plan's rows in the order in which they run: i counts from 0; false past the end. */
bool cn_plan_row_at(const cn_plan *plan, int i, cn_plan_row *row);
/*
 * "conv2d_1 + batch_norm_1 + relu_1: winograd 4x4 -> buffer 1 (2304 bytes at 0)": layers, method,
 * and where the results lie in the block of activations. Returns text.
 */
const char *cn_plan_row_text(const cn_plan *plan, const cn_plan_row *row, char text[CN_ROW_TEXT]);

#endif
