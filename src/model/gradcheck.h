/* gradcheck.h - cn_gradcheck of any backend, and its parts, one at a time. */
#ifndef CN_GRADCHECK_H
#define CN_GRADCHECK_H

#include "backends/backend.h"
#include "model/twin_model.h"

/* An array of a twin model: a parameter of a layer, or with layer 0 the input. */
typedef struct cn_twin_array {
    const char *name;
    int layer;
    size_t n;
    double *value, *gradient;
    double floor; /* errors are relative to at least this */
} cn_twin_array;

/* The root of the mean square of n gradients: what an error is relative to. */
double cn_gradient_scale(size_t n, const double *gradient);
/* |a - b| / (max(|a|, |b|, scale) + 1e-10). */
double cn_gradient_error(double a, double b, double scale);

/*
 * The largest error of the array's gradients, as the last backward left them, against central
 * differences of the loss; *checked elements were compared. The array is as before afterwards, and
 * so are the activations.
 */
double cn_gradcheck_differences(cn_twin_model *twin, const cn_twin_array *array, cn_loss_kind loss,
                                const double *target, int samples, uint64_t seed, size_t *checked);

/* cn_gradcheck, of this backend's gradients. */
cn_status cn_gradcheck_on(cn_model *model, const cn_gradcheck_opts *opts, const cn_backend *backend,
                          cn_gradcheck_row *worst, cn_error *err);

#endif
