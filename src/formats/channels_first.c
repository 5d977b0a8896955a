/* channels_first.c - parameters as PyTorch and ONNX lay them out: see the header. */
#include "formats/channels_first.h"

#include <string.h>

void cn_to_channels_first(const int n[4], const float *in, float *out)
{
    size_t width = (size_t)n[1], inner = (size_t)n[2], outer = (size_t)n[3];
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++)
            for (size_t h = 0; h < (size_t)n[0]; h++)
                for (size_t w = 0; w < width; w++)
                    *out++ = in[((h * width + w) * inner + i) * outer + o];
}

void cn_from_channels_first(const int n[4], const float *in, float *out)
{
    size_t width = (size_t)n[1], inner = (size_t)n[2], outer = (size_t)n[3];
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++)
            for (size_t h = 0; h < (size_t)n[0]; h++)
                for (size_t w = 0; w < width; w++)
                    out[((h * width + w) * inner + i) * outer + o] = *in++;
}

void cn_channels_first_shape(const cn_layer *layer, int k, const cn_shape *flattened, int axes[4],
                             cn_shape *shape)
{
    const cn_shape *own = &layer->parameters[k].shape;
    const bool dense = layer->type == &cn_dense_type;
    const cn_shape *image = layer->in.rank == 3 ? &layer->in : flattened;
    const int *n = own->n;
    switch (own->rank) {
    case 4: /* a window's weights */
        memcpy(axes, n, 4 * sizeof *axes);
        *shape = (cn_shape){4, {n[3], n[2], n[0], n[1]}};
        break;
    case 3: /* one for each element of an image */
        memcpy(axes, (const int[4]){n[0], n[1], n[2], 1}, 4 * sizeof *axes);
        *shape = (cn_shape){3, {n[2], n[0], n[1]}};
        break;
    case 2: /* a dense layer's */
        memcpy(axes, (const int[4]){1, 1, n[0], n[1]}, 4 * sizeof *axes);
        if (image) memcpy(axes, image->n, 3 * sizeof *axes);
        *shape = (cn_shape){2, {n[1], n[0]}};
        break;
    default:
        memcpy(axes, (const int[4]){1, 1, n[0], 1}, 4 * sizeof *axes);
        if (flattened && !dense) memcpy(axes, flattened->n, 3 * sizeof *axes);
        *shape = *own;
        break;
    }
}

/* y has its elements in the order of x, whichever that is, if the parameters have it, too. */
static bool keeps_order(const cn_layer *layer)
{
    return layer->in.rank == 1 &&
           (layer->activation.kind != CN_ACTIVATION_NONE || layer->type->training_only ||
            layer->type == &cn_batch_norm_type || layer->type == &cn_layer_norm_type);
}

bool cn_flattened_order(const cn_model *model, const cn_shape **order)
{
    bool *free_order = cn_allocate((size_t)model->layer_count, sizeof *free_order, "layers", NULL);
    if (!free_order) return false;
    for (int i = 0; i < model->layer_count; i++) free_order[i] = i != model->output;
    for (int i = model->layer_count - 1; i > 0; i--) { /* whatever reads a value comes after it */
        const cn_layer *reader = &model->layers[i];
        bool any = reader->type == &cn_dense_type || (keeps_order(reader) && free_order[i]);
        for (int k = 0; k < reader->input_count; k++)
            if (!any) free_order[reader->inputs[k]] = false;
    }
    order[0] = NULL;
    for (int i = 1; i < model->layer_count; i++) {
        const cn_layer *layer = &model->layers[i];
        order[i] = NULL;
        if (layer->type == &cn_flatten_type && layer->in.rank == 3 && free_order[i])
            order[i] = &layer->in;
        else if (keeps_order(layer))
            order[i] = order[layer->inputs[0]];
    }
    cn_release(free_order);
    return true;
}
