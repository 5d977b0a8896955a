/* plan_text.c - describes a plan, row by row. */
#include "model/plan_text.h"

#include <stdio.h>
#include <string.h>

/* ---- rows */

static void add_layer(const cn_plan *plan, cn_plan_row *row, int layer)
{
    if (row->layer_count < CN_ROW_LAYERS)
        row->layers[row->layer_count] = plan->model->layers[layer].name;
    row->layer_count++;
}

static void add_buffer(cn_plan_row *row, int buffer, int sum)
{
    for (int k = 0; k < row->buffer_count; k++)
        if (row->buffers[k] == buffer) return;
    row->buffers[row->buffer_count] = buffer;
    row->sums[row->buffer_count++] = sum;
}

/* By which method layer i computes a pass: after `lead`, which goes with what has several. */
static void add_method(const cn_plan *plan, cn_plan_row *row, int i, cn_pass pass, const char *lead)
{
    const cn_plan_step *step = &plan->steps[i];
    char text[CN_METHOD_TEXT];
    size_t used = strlen(row->method);
    if (step->ops && step->ops->describe) {
        step->ops->describe(&step->requirements, pass, text);
        snprintf(row->method + used, CN_ROW_METHOD - used, "%s%s%s", used ? ", " : "", lead, text);
    } else {
        snprintf(row->method, CN_ROW_METHOD, "%s", plan->model->layers[i].type->name);
    }
}

static void forward_row(const cn_plan *plan, int i, cn_plan_row *row)
{
    row->pass = "forward";
    if (i > 0) add_method(plan, row, i, CN_FORWARD, "");
    row->adds = plan->steps[i].add;
    for (int j = i; j < plan->model->layer_count; j++)
        if (plan->steps[j].by == i && (j == i || i > 0)) add_layer(plan, row, j);
    add_buffer(row, plan->steps[i].y, CN_NO_BUFFER);
}

static void loss_row(const cn_plan *plan, cn_plan_row *row)
{
    static const char *const names[][2] = {
        [CN_LOSS_CROSS_ENTROPY] = {"cross-entropy", "cross-entropy of logits"},
        [CN_LOSS_BINARY_CROSS_ENTROPY] = {"binary cross-entropy", "binary cross-entropy of logits"},
        [CN_LOSS_MEAN_SQUARED_ERROR] = {"mean squared error", "mean squared error"},
        [CN_LOSS_MEAN_ABSOLUTE_ERROR] = {"mean absolute error", "mean absolute error"},
        [CN_LOSS_DICE] = {"Dice loss", "Dice loss of logits"},
        [CN_LOSS_FOCAL] = {"focal loss", "focal loss of logits"},
    };
    row->pass = "loss";
    snprintf(row->method, CN_ROW_METHOD, "%s", names[plan->loss.kind][plan->loss.fused]);
    if (plan->loss.fused) add_layer(plan, row, plan->model->output);
    if (plan->loss_gradient != CN_NO_BUFFER) add_buffer(row, plan->loss_gradient, CN_NO_BUFFER);
}

/* The ReLU before a maximum pooling that masks its gradient. */
static int masked_layer(const cn_plan *plan, int i)
{
    int j = plan->model->layers[i].inputs[0];
    while (plan->model->layers[j].type->view) j = plan->model->layers[j].inputs[0];
    return j;
}

static void backward_row(const cn_plan *plan, int i, cn_plan_row *row)
{
    const cn_plan_step *step = &plan->steps[i];
    row->pass = "backward";
    add_layer(plan, row, i);
    if (step->dx[0] != CN_NO_BUFFER) add_method(plan, row, i, CN_BACKWARD_DATA, "data ");
    if (cn_layer_learns(&plan->model->layers[i]) || step->dx[0] == CN_NO_BUFFER)
        add_method(plan, row, i, CN_BACKWARD_WEIGHTS, "weights ");
    if (step->mask) add_layer(plan, row, masked_layer(plan, i));
    /* The layer may take the gradient after a ReLU in place of its own. */
    const bool masks = plan->model->layers[i].type->masks_relu;
    for (int j = i + 1; masks && j < plan->model->layer_count; j++)
        if (plan->steps[j].by == i && plan->steps[j].dy == step->dy && !plan->steps[j].backward)
            add_layer(plan, row, j);
    for (int k = 0; k < plan->model->layers[i].input_count; k++)
        if (step->dx[k] != CN_NO_BUFFER) add_buffer(row, step->dx[k], step->sum[k]);
}

bool cn_plan_row_at(const cn_plan *plan, int i, cn_plan_row *row)
{
    const int n = plan->model->layer_count;
    *row = (cn_plan_row){.pass = NULL};
    for (int j = 0; j < n; j++)
        if ((j == 0 || plan->steps[j].forward) && i-- == 0) {
            forward_row(plan, j, row);
            return true;
        }
    if (!plan->opts.training) return false;
    if (i-- == 0) {
        loss_row(plan, row);
        return true;
    }
    for (int j = n - 1; j > 0; j--)
        if (plan->steps[j].backward && i-- == 0) {
            backward_row(plan, j, row);
            return true;
        }
    return false;
}

/* ---- text */

/* Appends; what has no room is cut. */
static size_t append(char text[CN_ROW_TEXT], size_t used, const char *format, ...) CN_PRINTF(3, 4);
static size_t append(char text[CN_ROW_TEXT], size_t used, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int more = cn_vformat(text + used, CN_ROW_TEXT - used, format, args);
    va_end(args);
    used += more > 0 ? (size_t)more : 0;
    return used < CN_ROW_TEXT ? used : CN_ROW_TEXT - 1;
}

const char *cn_plan_row_text(const cn_plan *plan, const cn_plan_row *row, char text[CN_ROW_TEXT])
{
    size_t used = 0;
    text[0] = '\0';
    if (row->pass[0] == 'l') used = append(text, used, row->layer_count > 0 ? "loss + " : "loss");
    for (int k = 0; k < row->layer_count && k < CN_ROW_LAYERS; k++)
        used = append(text, used, "%s%s", k > 0 ? " + " : "", row->layers[k]);
    if (row->layer_count > CN_ROW_LAYERS)
        used = append(text, used, " + %d more", row->layer_count - CN_ROW_LAYERS);
    if (row->method[0]) used = append(text, used, ": %s", row->method);
    for (int k = 0; k < row->buffer_count; k++) {
        const cn_buffer *b = &plan->buffers[row->buffers[k]];
        used = append(text, used, "%s buffer %d (%zu bytes at %zu)",
                      k > 0       ? ","
                      : row->adds ? " -> added to"
                                  : " ->",
                      row->buffers[k], b->bytes, b->offset);
        if (row->sums[k] != CN_NO_BUFFER)
            used = append(text, used, " added to buffer %d", row->sums[k]);
    }
    return text;
}
