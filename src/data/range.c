/*
 * range.c - which values of an array stand for black and white.
 *
 * Arrays are written as bytes, as floats of 0 to 1, of 0 to 255, of -1 to 1: nothing but the values
 * says which. The first row that holds them all, give or take a tenth of its span (what resizing
 * with a cubic overshoots by), is their range; some rows are only believed where a value is just
 * at an end of them. What no row holds has the range of its own values.
 */
#include "data/dataset.h"

#include <math.h>
#include <stdio.h>

static const struct row {
    double low, high;
    bool reached;
} rows[] = {
    {0, 1, false},   {-0.5, 0.5, true}, {-1, 1, false},    {0, 16, true}, /* handwritten digits */
    {0, 255, false}, {-128, 127, true}, {0, 1023, true}, /* sensors of 10, 12 and 14 bits */
    {0, 4095, true}, {0, 16383, true},  {0, 65535, false},
};
enum { ROWS = sizeof rows / sizeof *rows };

/* Do the values go at least half the way to an end? If not they may be dark images of it, or of
 * another range. */
static bool is_certain(double least, double most, double low, double high)
{
    return fmax(most, -least) >= fmax(high, -low) / 2;
}

/* Beyond the ends only go values that also come near to them. */
static bool fits(double least, double most, double low, double high)
{
    double more = is_certain(least, most, low, high) ? (high - low) / 10 : 0;
    return least >= low - (low < 0 ? more : more / 2) && most <= high + more;
}

static bool reaches(double least, double most, double low, double high)
{
    double near = (high - low) * 1e-6;
    return fabs(most - high) <= near || (low < 0 && fabs(least - low) <= near);
}

/* False where the values are in none of the rows: the range is then their own. */
static bool find_row(double least, double most, double *low, double *high)
{
    for (int i = 0; i < ROWS; i++) {
        if (!fits(least, most, rows[i].low, rows[i].high)) continue;
        if (rows[i].reached && !reaches(least, most, rows[i].low, rows[i].high)) continue;
        *low = rows[i].low;
        *high = rows[i].high;
        return true;
    }
    *low = least;
    *high = most > least ? most : least + 1;
    return false;
}

/* The least and the largest of images that have been looked at. */
static void find_sampled_ends(const cn_dataset_parts *parts, double *least, double *most)
{
    const cn_moments *m = cn_samples_moments(parts->samples, 0);
    const size_t count = (size_t)parts->images.shape[0] * (size_t)parts->images.shape[3];
    *least = (double)m->least;
    *most = (double)m->most;
    for (size_t i = 1; i < count; i++) {
        if ((double)m[i].least < *least) *least = (double)m[i].least;
        if ((double)m[i].most > *most) *most = (double)m[i].most;
    }
}

/* The least and the largest that is finite; what is not is an error elsewhere. */
static void find_ends(const cn_tensor *images, double *least, double *most)
{
    size_t count = cn_tensor_count(images);
    *least = INFINITY;
    *most = -INFINITY;
    if (images->dtype == CN_DTYPE_U8) {
        const uint8_t *x = images->data;
        uint8_t low = UINT8_MAX, high = 0;
        for (size_t i = 0; i < count; i++) {
            if (x[i] < low) low = x[i];
            if (x[i] > high) high = x[i];
        }
        *least = low;
        *most = high;
        return;
    }
    const float *x = images->data;
    float low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (x[i] < low && x[i] > -INFINITY) low = x[i];
        if (x[i] > high && x[i] < INFINITY) high = x[i];
    }
    *least = low <= high ? (double)low : 0;
    *most = low <= high ? (double)high : 0;
}

typedef struct range {
    double least, most; /* values found */
    double low, high;
    bool usual, certain, told; /* told: by an option */
} range;

static cn_status remark(const range *r, bool bytes, const cn_request *request, const char *what,
                        cn_error *err)
{
    char text[4][CN_NUMBER_TEXT];
    const double numbers[4] = {r->least, r->most, r->low, r->high};
    for (int i = 0; i < 4; i++) /* six places are enough to tell them by */
        cn_number_text(fabs(numbers[i]) < 1e6 ? round(numbers[i] * 1e6) / 1e6 : numbers[i],
                       text[i]);
    bool plain = r->low == 0 && r->high == (bytes ? 255 : 1);
    if (r->told || (plain && r->certain)) return CN_OK;
    if (!r->usual)
        return cn_remark(request->remarks, err,
                         "%s: values from %s to %s are of no usual range: an image file's black "
                         "and white are brought to these two; range=LOW..HIGH says otherwise",
                         what, text[0], text[1]);
    if (!r->certain)
        return cn_remark(request->remarks, err,
                         "%s: values from %s to %s are taken to be of %s to %s, black to white; "
                         "range=LOW..HIGH says otherwise",
                         what, text[0], text[1], text[2], text[3]);
    return cn_remark(request->remarks, err,
                     "%s: values are of %s to %s, black to white: image files are brought to this "
                     "range",
                     what, text[2], text[3]);
}

bool cn_is_range_of_whole_numbers(double least, double most, double *low, double *high)
{
    bool row = find_row(least, most, low, high);
    return row && least >= *low && most <= *high && *high - *low > 1 && most > 0 &&
           is_certain(least, most, *low, *high);
}

cn_status cn_find_range(cn_dataset_parts *parts, const cn_request *request, const char *what,
                        cn_error *err)
{
    double least, most;
    if (parts->images.data)
        find_ends(&parts->images, &least, &most);
    else
        find_sampled_ends(parts, &least, &most);
    return cn_find_range_of(parts, least, most, request, what, err);
}

cn_status cn_find_range_of(cn_dataset_parts *parts, double least, double most,
                           const cn_request *request, const char *what, cn_error *err)
{
    const cn_data_opts *opts = request ? request->opts : NULL;
    bool bytes = parts->images.dtype == CN_DTYPE_U8;
    range r = {.least = least, .most = most, .told = opts && opts->given & CN_OPTION_RANGE};
    if (r.told) {
        r.low = opts->images.low;
        r.high = opts->images.high;
        r.usual = r.certain = true;
    } else {
        r.usual = find_row(r.least, r.most, &r.low, &r.high);
        r.certain = r.usual && is_certain(r.least, r.most, r.low, r.high);
    }
    if (bytes && r.low != 0)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "%.120s: bytes have a range from 0 on, found range=%g..%g", what, r.low,
                       r.high);
    if (bytes) {
        parts->scale = (float)(1 / r.high);
    } else {
        parts->image_opts.low = r.low;
        parts->image_opts.high = r.high;
        parts->certain = r.certain;
    }
    return request ? remark(&r, bytes, request, what, err) : CN_OK;
}

void cn_dataset_range_for(const cn_dataset *data, const cn_image_opts *model, double *low,
                          double *high)
{
    double least, most;
    const cn_tensor *images = cn_dataset_images(data);
    cn_image_opts mine = cn_dataset_image_opts(data);
    *low = mine.low;
    *high = mine.high;
    if (model->low == model->high || images->dtype == CN_DTYPE_U8 ||
        cn_dataset_range_is_certain(data))
        return;
    cn_dataset_ends(data, &least, &most);
    double ignored[2];
    bool usual = find_row(least, most, &ignored[0], &ignored[1]);
    if (usual && !fits(least, most, model->low, model->high)) return;
    *low = model->low;
    *high = model->high;
}
