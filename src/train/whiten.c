/*
 * whiten.c - a first convolution that makes what it sees uncorrelated.
 *
 *     C = mean of p p^T over patches p (n = f_H f_W n_C_prev values each)      the covariance
 *     C = V diag(lambda) V^T                                    by Jacobi's rotations
 *     W[.., i] = V[.., i] / sqrt(lambda_i + epsilon),  W[.., n + i] = -W[.., i]
 *
 * lambda falls with i.
 */
#include "base/base.h"
#include "model/model.h"

#include <math.h>
#include <string.h>

enum { IMAGES = 5000, MOST = 512 /* values of a patch */ };

/* ---- the eigenvectors of a symmetric matrix */

/* One rotation, which makes a[p][q] zero; v collects the rotations. */
static void rotate(int n, double *a, double *v, int p, int q)
{
    size_t N = (size_t)n, P = (size_t)p, Q = (size_t)q;
    double off = a[P * N + Q];
    if (off == 0) return;
    double theta = (a[Q * N + Q] - a[P * N + P]) / (2 * off);
    double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
    double c = 1 / sqrt(t * t + 1), s = t * c;
    for (size_t k = 0; k < N; k++) {
        double x = a[k * N + P], y = a[k * N + Q];
        a[k * N + P] = c * x - s * y;
        a[k * N + Q] = s * x + c * y;
    }
    for (size_t k = 0; k < N; k++) {
        double x = a[P * N + k], y = a[Q * N + k];
        a[P * N + k] = c * x - s * y;
        a[Q * N + k] = s * x + c * y;
        x = v[k * N + P], y = v[k * N + Q];
        v[k * N + P] = c * x - s * y;
        v[k * N + Q] = s * x + c * y;
    }
}

/* a (n, n) becomes diagonal, its eigenvalues; the columns of v are their vectors. Each sweep
 * squares what is left beside the diagonal, once that is small: ten are more than enough. */
static void diagonalize(int n, double *a, double *v)
{
    memset(v, 0, (size_t)n * (size_t)n * sizeof *v);
    for (int i = 0; i < n; i++) v[i * n + i] = 1;
    for (int sweep = 0; sweep < 10; sweep++)
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) rotate(n, a, v, p, q);
}

/* ---- patches */

/* Adds the patches of the image x to the sums of their products. */
static void add_patches(const cn_layer *layer, const float *x, double *sums)
{
    const cn_window *w = &layer->window;
    int width = layer->in.n[1], c = layer->in.n[2], row = w->kernel[1] * c, n = w->kernel[0] * row;
    double patch[MOST];
    for (int p = 0; p + w->kernel[0] <= layer->in.n[0]; p++)
        for (int q = 0; q + w->kernel[1] <= width; q++) {
            for (int u = 0; u < w->kernel[0]; u++)
                for (int i = 0; i < row; i++)
                    patch[u * row + i] = (double)x[((p + u) * width + q) * c + i];
            for (int i = 0; i < n; i++)
                for (int j = 0; j <= i; j++) sums[i * n + j] += patch[i] * patch[j];
        }
}

/* The sums over the first images, as a full symmetric matrix; divided by how many there are. */
static cn_status covariance(const cn_model *m, const cn_layer *layer, const cn_dataset *data, int n,
                            double *sums, cn_error *err)
{
    int count = cn_dataset_size(data) < IMAGES ? cn_dataset_size(data) : IMAGES;
    const int *in = layer->in.n;
    float *x = cn_allocate(cn_shape_count(&layer->in), sizeof *x, "whiten", err);
    if (!x) return CN_ERR_MEMORY;
    cn_status status = CN_OK;
    for (int i = 0; i < count && status == CN_OK; i++) {
        status = cn_dataset_batch(data, &i, 1, m->mean, m->std, x, NULL, err);
        if (status == CN_OK) add_patches(layer, x, sums);
    }
    cn_release(x);
    if (status != CN_OK) return status;
    double patches = (double)count * (in[0] - layer->window.kernel[0] + 1) *
                     (in[1] - layer->window.kernel[1] + 1);
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) sums[i * n + j] = sums[j * n + i] = sums[i * n + j] / patches;
    return CN_OK;
}

/* The i-th largest of the eigenvalues on the diagonal. */
static int largest(int n, const double *a, bool *taken)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if (!taken[i] && (best < 0 || a[i * n + i] > a[best * n + best])) best = i;
    taken[best] = true;
    return best;
}

static void set_filters(const cn_layer *layer, int n, const double *a, const double *v,
                        double epsilon, float *w)
{
    int filters = layer->out.n[2];
    bool taken[MOST] = {false};
    for (int i = 0; i < n && i < filters; i++) {
        int at = largest(n, a, taken);
        double scale = 1 / sqrt(a[at * n + at] + epsilon);
        for (int k = 0; k < n; k++) {
            float value = (float)(v[k * n + at] * scale);
            w[k * filters + i] = value;
            if (n + i < filters) w[k * filters + n + i] = -value;
        }
    }
}

static cn_status find_layer(const cn_model *m, const char *name, const cn_dataset *data,
                            const cn_layer **found, cn_error *err)
{
    char in[CN_SHAPE_TEXT], images[CN_SHAPE_TEXT];
    const cn_layer *layer = NULL;
    for (int i = 0; i < m->layer_count; i++)
        if (strcmp(m->layers[i].name, name) == 0) layer = &m->layers[i];
    if (!layer) return cn_fail(err, CN_ERR_ARGUMENT, "whiten: no layer is called %.60s", name);
    if (strcmp(layer->type->name, "conv2d") != 0 || layer->inputs[0] != 0)
        return cn_fail(err, CN_ERR_ARGUMENT,
                       "whiten: %s is a %s, expected a conv2d that reads the input", name,
                       layer->type->name);
    const int *f = layer->parameters[0].shape.n;
    if (f[2] != layer->in.n[2] || (double)f[0] * f[1] * f[2] > MOST ||
        f[3] > 2 * f[0] * f[1] * f[2])
        return cn_fail(err, CN_ERR_SHAPE,
                       "whiten: %s has %d filters of %d x %d x %d, expected at most twice as many "
                       "as the values of a patch, which may be %d, and one group",
                       name, f[3], f[0], f[1], f[2], MOST);
    if (memcmp(layer->in.n, cn_dataset_shape(data), 3 * sizeof *f) != 0)
        return cn_fail(err, CN_ERR_SHAPE, "whiten: %s reads %s, but images are %s", name,
                       cn_shape_text(3, layer->in.n, in),
                       cn_shape_text(3, cn_dataset_shape(data), images));
    *found = layer;
    return CN_OK;
}

cn_status cn_model_whiten(cn_model *m, const char *name, const cn_dataset *data, double epsilon,
                          cn_error *err)
{
    const cn_layer *layer = NULL;
    if (!m || !m->finished || !name || !data)
        return cn_fail(err, CN_ERR_ARGUMENT, "whiten: NULL argument, or the model is not finished");
    if (!(epsilon > 0) || isinf(epsilon))
        return cn_fail(err, CN_ERR_ARGUMENT, "whiten: epsilon %g, expected above 0", epsilon);
    cn_status status = find_layer(m, name, data, &layer, err);
    if (status != CN_OK) return status;
    int n = layer->parameters[0].shape.n[0] * layer->parameters[0].shape.n[1] * layer->in.n[2];
    size_t size = (size_t)n * (size_t)n;
    double *a = cn_allocate(size, sizeof *a, "whiten", err);
    double *v = cn_allocate(size, sizeof *v, "whiten", err);
    status = a && v ? covariance(m, layer, data, n, a, err) : CN_ERR_MEMORY;
    if (status == CN_OK) {
        diagonalize(n, a, v);
        set_filters(layer, n, a, v, epsilon, m->block + layer->parameters[0].offset);
        if (layer->parameter_count > 1)
            memset(m->block + layer->parameters[1].offset, 0,
                   (size_t)layer->out.n[2] * sizeof(float));
        m->version++;
    }
    cn_release(a);
    cn_release(v);
    return status;
}
