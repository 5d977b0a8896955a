/*
 * layout.c - arrays that have their channels first, (n, n_C, n_H, n_W), as other libraries write
 * them.
 *
 * An axis of 1 to 4 is taken for the channels. Where that is the last one of three, or none, the
 * channels are last; where it is the first of them alone, they are first.
 *
 * An image may also be a row of values: row by row with a pixel's channels side by side, or with
 * layout=nchw channel by channel.
 */
#include "data/dataset.h"

#include <math.h>
#include <string.h>

static bool may_be_channels(int extent)
{
    return extent >= 1 && extent <= 4;
}

/* image (n_C, n_H, n_W) becomes (n_H, n_W, n_C). */
static void turn(const char *from, char *to, size_t channels, size_t pixels, size_t size)
{
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < channels; c++, to += size)
            memcpy(to, from + (c * pixels + i) * size, size);
}

static cn_status turn_all(cn_tensor *images, const char *what, cn_error *err)
{
    const int *s = images->shape;
    const int shape[4] = {s[0], s[2], s[3], s[1]};
    size_t channels = (size_t)s[1], pixels = (size_t)s[2] * (size_t)s[3];
    size_t size = cn_dtype_size(images->dtype), each = channels * pixels * size;
    memcpy(images->shape, shape, sizeof shape);
    /* One channel has the same values in the same places. */
    if (channels == 1 || !images->data) return CN_OK;
    char *one = cn_allocate(each, 1, what, err), *at = images->data;
    if (!one) return CN_ERR_MEMORY;
    for (int i = 0; i < shape[0]; i++, at += each) {
        memcpy(one, at, each);
        turn(one, at, channels, pixels, size);
    }
    cn_release(one);
    return CN_OK;
}

static cn_status find_layout(bool *first, const int *s, const cn_request *request, const char *what,
                             cn_error *err)
{
    char text[CN_SHAPE_TEXT];
    bool may_be_first = may_be_channels(s[1]), may_be_last = may_be_channels(s[3]);
    *first = request->opts->layout == CN_LAYOUT_NCHW;
    if (request->opts->given & CN_OPTION_LAYOUT) return CN_OK;
    *first = may_be_first && !may_be_last;
    if (may_be_last && !may_be_first) return CN_OK;
    cn_shape_text(3, s + 1, text);
    if (*first)
        return cn_remark(request->remarks, err,
                         "%s: images of %s are read as %d channel%s of %d x %d: channels first; "
                         "layout=nhwc says otherwise",
                         what, text, s[1], s[1] == 1 ? "" : "s", s[2], s[3]);
    return cn_remark(request->remarks, err,
                     "%s: images of %s are read as %d x %d with %d channel%s: channels last; "
                     "layout=nchw says otherwise",
                     what, text, s[1], s[2], s[3], s[3] == 1 ? "" : "s");
}

cn_status cn_settle_layout(cn_tensor *images, bool *first, const cn_request *request,
                           const char *what, cn_error *err)
{
    cn_status status = find_layout(first, images->shape, request, what, err);
    return status == CN_OK && *first ? turn_all(images, what, err) : status;
}

bool cn_shape_of_row(int shape[4], int values, const cn_request *request)
{
    const cn_data_opts *o = request->opts;
    int channels = o->channels;
    int64_t pixels = (int64_t)o->height * o->width;
    if (!channels) {
        int side = (int)sqrt((double)values);
        channels = o->height ? (int)(values / pixels) : side * side == values ? 1 : 3;
    }
    int side = channels > 0 ? (int)sqrt((double)values / channels) : 0;
    shape[1] = o->height ? o->height : side;
    shape[2] = o->height ? o->width : side;
    shape[3] = channels;
    int64_t all = (int64_t)shape[1] * shape[2]; /* of a row at most, before the channels count */
    return channels > 0 && all <= values && all * channels == values;
}

cn_status cn_settle_rows(cn_tensor *images, bool *first, const cn_request *request,
                         const char *what, cn_error *err)
{
    int values = images->shape[1], shape[4] = {images->shape[0]};
    *first = request->opts->given & CN_OPTION_LAYOUT && request->opts->layout == CN_LAYOUT_NCHW;
    if (!cn_shape_of_row(shape, values, request))
        return cn_fail(err, CN_ERR_FORMAT,
                       "%.120s: rows of %d values, which make no image of the size asked for", what,
                       values);
    cn_status status = cn_remark(request->remarks, err,
                                 "%s: rows of %d values are read as %d x %d with %d channel%s; "
                                 "size=HEIGHTxWIDTH, channels=N and layout=nchw say otherwise",
                                 what, values, shape[1], shape[2], shape[3], cn_plural(shape[3]));
    if (status != CN_OK) return status;
    memcpy(images->shape, shape, sizeof shape);
    if (!*first) return CN_OK;
    memcpy(images->shape + 1, (int[]){shape[3], shape[1], shape[2]}, 3 * sizeof *shape);
    return turn_all(images, what, err);
}
