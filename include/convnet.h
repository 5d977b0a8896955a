/*
 * convnet.h - convolutional neural networks in plain C.
 *
 * The header reads from simple to advanced:
 *
 *   1. status and errors          every call that can fail says why, nothing exits
 *   2. tensors                    shape, element type, memory
 *   3. random numbers             numpy's legacy stream, bit for bit
 *   4. building blocks            the eight functions a CNN is made of, forward and backward
 *   5. models                     a graph, built with one call per layer
 *   6. sessions                   a model made ready to run: forward, loss, backward, step
 *   7. data                       sets of images with labels
 *   8. training                   cn_fit, cn_evaluate
 *   9. files                      save and load
 *  10. tools                      summary, memory plan, gradient check, images
 *
 * Conventions, stated once
 *   Layout      Activations are (m, n_H, n_W, n_C): example, row, column, channel, the last axis
 *               contiguous. Filters are (f_H, f_W, n_C_prev, n_C), dense weights (n_in, n_out).
 *   Errors      A function that can fail returns a cn_status and takes a cn_error * last, which may
 *               be NULL. On failure its outputs are untouched.
 *   Ownership   Who calls _create or _load calls _free; freeing NULL does nothing. Strings and
 *               pointers returned by an accessor belong to the object asked.
 *   Threads     No function touches global mutable state. Different objects may be used from
 *               different threads at once; a `const` object may be shared by several.
 */
#ifndef CONVNET_H
#define CONVNET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CN_VERSION_MAJOR 0
#define CN_VERSION_MINOR 1
#define CN_VERSION_PATCH 0

#if defined(__GNUC__)
#define CN_API __attribute__((visibility("default")))
#else
#define CN_API
#endif

/* "0.1.0": the version of the library that is linked, which may differ from the header's. */
CN_API const char *cn_version(void);

/* ---- 1. Status and errors --------------------------------------------------------------- */

/* X(name, value, meaning): values are part of the ABI and never change. */
#define CN_STATUS_MAP(X)                          \
    X(CN_OK, 0, "success")                        \
    X(CN_ERR_ARGUMENT, 1, "invalid argument")     \
    X(CN_ERR_SHAPE, 2, "shapes do not fit")       \
    X(CN_ERR_MEMORY, 3, "out of memory")          \
    X(CN_ERR_IO, 4, "input or output failed")     \
    X(CN_ERR_FORMAT, 5, "malformed file")         \
    X(CN_ERR_UNSUPPORTED, 6, "not supported")     \
    X(CN_ERR_STOPPED, 7, "stopped by the caller") \
    X(CN_ERR_DIVERGED, 8, "a number is NaN or infinite")

typedef enum cn_status {
#define CN_STATUS_ENUM(name, value, meaning) name = value,
    CN_STATUS_MAP(CN_STATUS_ENUM)
#undef CN_STATUS_ENUM
} cn_status;

/* Filled by the deepest function that failed: the thing, what was expected, what was found. */
typedef struct cn_error {
    cn_status status;
    char text[256];
} cn_error;

/* The meaning of a status, in a few words; "unknown status" for a value outside the list. */
CN_API const char *cn_status_text(cn_status status);

/* ---- 2. Tensors ------------------------------------------------------------------------- */

typedef enum cn_dtype {
    CN_DTYPE_F32 = 0, /* float */
    CN_DTYPE_F64 = 1, /* double */
    CN_DTYPE_I32 = 2, /* int32_t: labels */
    CN_DTYPE_U8 = 3,  /* uint8_t: images, and masks of 0 and 1 */
} cn_dtype;

enum { CN_MAX_RANK = 4 };

/*
 * A dense array in C order. A plain struct, so that your own memory becomes a tensor without a
 * copy (cn_tensor_view). `owned` is what cn_tensor_free frees: NULL for a view.
 *
 * As an output argument a tensor is either empty ({0}), and is then allocated, or already has the
 * right dtype and shape, and is then filled. Anything else is CN_ERR_SHAPE: a tensor is never
 * reallocated silently.
 */
typedef struct cn_tensor {
    cn_dtype dtype;
    int rank;
    int shape[CN_MAX_RANK];
    void *data;
    void *owned;
} cn_tensor;

/* A new tensor of zeros, 64-byte aligned. Every extent must be at least 1. */
CN_API cn_status cn_tensor_create(cn_tensor *t, cn_dtype dtype, int rank, const int *shape,
                                  cn_error *err);
/* A tensor over the caller's memory, which must outlive it; empty where the rank is not 1 to 4. */
CN_API cn_tensor cn_tensor_view(cn_dtype dtype, int rank, const int *shape, void *data);
/* Frees what the tensor owns and makes it empty. */
CN_API void cn_tensor_free(cn_tensor *t);
/* The number of elements; 0 for an empty tensor. */
CN_API size_t cn_tensor_count(const cn_tensor *t);
/* The bytes of one element. */
CN_API size_t cn_dtype_size(cn_dtype dtype);

/* ---- 3. Random numbers ------------------------------------------------------------------ */

/*
 * numpy's legacy generator (numpy.random.seed(n), then randn and friends), bit for bit: the
 * course's figures are fixed by it. State is in the struct: copy it to save it.
 */
typedef struct cn_rng {
    uint32_t key[624];
    int position;
    bool has_gauss;
    double gauss; /* the second half of the last polar pair */
} cn_rng;

CN_API void cn_rng_seed(cn_rng *rng, uint32_t seed);
/* numpy.random.rand: uniform in [0, 1), 53 bits. */
CN_API double cn_rng_rand(cn_rng *rng);
/* numpy.random.randn: standard normal. */
CN_API double cn_rng_randn(cn_rng *rng);
/* numpy.random.randint(low, high): uniform in [low, high); high must exceed low. */
CN_API int64_t cn_rng_randint(cn_rng *rng, int64_t low, int64_t high);
/* numpy.random.permutation(n): fills out[0..n-1] with a shuffled 0..n-1. */
CN_API void cn_rng_permutation(cn_rng *rng, int n, int *out);
/* Fills an F32 or F64 tensor with randn draws in C order (rounded once for F32). */
CN_API cn_status cn_rng_fill_randn(cn_rng *rng, cn_tensor *t, cn_error *err);

/* ---- 4. Building blocks ----------------------------------------------------------------- */

/*
 * The eight functions of "Convolutional Neural Networks: Step by Step", with its names, argument
 * order, cache contents and results. F64 tensors run textbook loops; F32 tensors run the engine's
 * kernels, with the same semantics. All tensors of a call share one dtype. An output may overlap
 * neither an input nor another output.
 */

typedef struct cn_hparameters {
    int stride;
    int pad; /* zeros added on each side of n_H and n_W; convolution only */
    int f;   /* window height and width; pooling only */
} cn_hparameters;

typedef enum cn_pool_mode { CN_POOL_MAX = 0, CN_POOL_AVERAGE = 1 } cn_pool_mode;

/* What backward needs. The tensors are views of the forward's inputs, which must outlive the cache;
 * there is nothing to free. Pass NULL where no backward follows. */
typedef struct cn_conv_cache {
    cn_tensor A_prev, W, b;
    cn_hparameters hparameters;
} cn_conv_cache;

typedef struct cn_pool_cache {
    cn_tensor A_prev;
    cn_hparameters hparameters;
} cn_pool_cache;

/* X (m, n_H, n_W, n_C) -> X_pad (m, n_H + 2 pad, n_W + 2 pad, n_C), zeros around each image. */
CN_API cn_status cn_zero_pad(const cn_tensor *X, int pad, cn_tensor *X_pad, cn_error *err);

/* Z = sum(a_slice_prev * W) + b, summed in double precision. Shapes (f, f, n_C_prev),
 * (f, f, n_C_prev), (1, 1, 1). */
CN_API cn_status cn_conv_single_step(const cn_tensor *a_slice_prev, const cn_tensor *W,
                                     const cn_tensor *b, double *Z, cn_error *err);

/*
 * Z[i,h,w,c] = sum over u,v,k of A_prev_pad[i, h s + u, w s + v, k] W[u,v,k,c]  + b[0,0,0,c]
 *
 * A_prev (m, n_H_prev, n_W_prev, n_C_prev), W (f, f, n_C_prev, n_C), b (1, 1, 1, n_C);
 * Z (m, n_H, n_W, n_C) with n = floor((n_prev - f + 2 pad) / stride) + 1. Correlation, no flip.
 */
CN_API cn_status cn_conv_forward(const cn_tensor *A_prev, const cn_tensor *W, const cn_tensor *b,
                                 cn_hparameters hparameters, cn_tensor *Z, cn_conv_cache *cache,
                                 cn_error *err);

/* A (m, n_H, n_W, n_C): the maximum or the mean of each f x f window; no padding. A window that
 * holds a NaN gives NaN. */
CN_API cn_status cn_pool_forward(const cn_tensor *A_prev, cn_hparameters hparameters,
                                 cn_pool_mode mode, cn_tensor *A, cn_pool_cache *cache,
                                 cn_error *err);

/* The gradients of a convolution, summed over the batch (no 1/m): dA_prev, dW and db have the
 * shapes of A_prev, W and b. */
CN_API cn_status cn_conv_backward(const cn_tensor *dZ, const cn_conv_cache *cache,
                                  cn_tensor *dA_prev, cn_tensor *dW, cn_tensor *db, cn_error *err);

/* mask = (x == max(x)), U8: every tie is 1. Where x holds a NaN, the maximum is NaN and the mask
 * marks the NaNs. Any rank. */
CN_API cn_status cn_create_mask_from_window(const cn_tensor *x, cn_tensor *mask, cn_error *err);

/* a (n_H, n_W), every element dz / (n_H n_W). F64 unless `a` is already an F32 tensor. */
CN_API cn_status cn_distribute_value(double dz, int n_H, int n_W, cn_tensor *a, cn_error *err);

/* dA_prev, with the shape of the cache's A_prev. Max: every element equal to its window's maximum
 * receives the whole gradient, also where several are equal (the course's rule; a model's pooling
 * layer gives it to the first). Average: dA distributed evenly over the window. */
CN_API cn_status cn_pool_backward(const cn_tensor *dA, const cn_pool_cache *cache,
                                  cn_pool_mode mode, cn_tensor *dA_prev, cn_error *err);

/* ---- 5. Models -------------------------------------------------------------------------- */

/*
 * A model is a graph of layers with its parameters. Build it with one call per layer; each returns
 * a node that later layers take as input. A wrong option does not interrupt the building: the model
 * remembers the first error, and cn_model_finish reports it.
 *
 *   cn_model *m = NULL;
 *   cn_model_create(&m, (int[]){28, 28, 1}, &err);
 *   cn_node x = cn_input(m);
 *   x = cn_conv2d(m, x, &(cn_conv2d_opts){.filters = 6, .kernel = {5, 5}, .pad = CN_PADDING_SAME});
 *   x = cn_relu(m, x);
 *   x = cn_max_pool(m, x, &(cn_pool_opts){.size = {2, 2}});
 *   x = cn_dense(m, x, &(cn_dense_opts){.units = 10});
 *   x = cn_softmax(m, x);
 *   if (cn_model_finish(m, x, 1, &err) != CN_OK) puts(err.text);
 *
 * In every options struct zero means the default, and an array's zero second element means "as the
 * first": .kernel = {3} is 3 x 3. Options may be NULL where none is required. Running a finished
 * model does not change it; training does.
 */
typedef struct cn_model cn_model;
typedef int cn_node; /* negative: an earlier error */

/*
 * Padding. CN_PADDING_VALID adds none, or .pads if given. CN_PADDING_SAME makes
 *
 *     n = ceil(n_prev / stride)
 *
 * as TensorFlow does: of the total max((n - 1) stride + f - n_prev, 0), half, rounded down, comes
 * before, the rest after.
 */
typedef enum cn_padding { CN_PADDING_VALID = 0, CN_PADDING_SAME = 1 } cn_padding;

typedef enum cn_init {
    CN_INIT_DEFAULT = 0,        /* glorot_uniform */
    CN_INIT_GLOROT_UNIFORM = 1, /* U(-l, l), l = sqrt(6 / (fan_in + fan_out)); Glorot 2010 */
    CN_INIT_GLOROT_NORMAL = 2,  /* N(0, 2 / (fan_in + fan_out)) */
    CN_INIT_HE_UNIFORM = 3,     /* U(-l, l), l = sqrt(6 / fan_in); He 2015 */
    CN_INIT_HE_NORMAL = 4,      /* N(0, 2 / fan_in) */
    CN_INIT_DIRAC = 5,          /* filter k passes channel k through, while there are both; further
                                   filters are U(-l, l), l = 1 / sqrt(fan_in); Jordan 2024 */
} cn_init;

typedef struct cn_conv2d_opts {
    const char *name; /* "conv2d_1" and so on when NULL */
    int filters;      /* n_C, required */
    int kernel[2];    /* f_H, f_W, required */
    int stride[2];    /* default 1 */
    cn_padding pad;
    int pads[4]; /* zeros above, left, below, right; with CN_PADDING_VALID only */
    bool no_bias;
    cn_init init;
    int dilation[2]; /* pixels from one element of the window to the next; default 1 */
    int groups;      /* default 1; divides n_C_prev and n_C. Each group of filters sees its group of
                        channels only: the filters are (f_H, f_W, n_C_prev / groups, n_C), those of
                        one group adjacent */
} cn_conv2d_opts;

/* A convolution of every channel by itself: cn_conv2d with groups = n_C_prev, and
 * n_C = depth_multiplier n_C_prev. The filters are (f_H, f_W, 1, n_C). */
typedef struct cn_depthwise_conv2d_opts {
    const char *name;
    int kernel[2];  /* f_H, f_W, required */
    int stride[2];  /* default 1 */
    cn_padding pad; /* this and the next four as in cn_conv2d_opts */
    int pads[4];
    bool no_bias;
    cn_init init;
    int dilation[2];
    int depth_multiplier; /* outputs per channel, adjacent in Z; default 1 */
} cn_depthwise_conv2d_opts;

/*
 * A transposed convolution ("deconvolution"): the backward pass of a convolution of these options.
 * Each pixel of A_prev is distributed over a window of Z; overlapping windows add up. Along each
 * axis
 *
 *     n = (n_prev - 1) stride + (f - 1) dilation + 1 - pads + output_padding
 *
 * as in PyTorch and Keras, and with CN_PADDING_SAME n = n_prev stride. The filters are (f_H, f_W,
 * n_C / groups, n_C_prev): those of the convolution from Z to A_prev.
 */
typedef struct cn_conv_transpose2d_opts {
    const char *name;
    int filters; /* n_C, required */
    int kernel[2];
    int stride[2]; /* default 1 */
    cn_padding pad;
    int pads[4];           /* rows and columns removed from Z above, left, below, right */
    int output_padding[2]; /* rows added to Z below and columns on the right; less than the stride,
                              default 0, with CN_PADDING_VALID only */
    bool no_bias;
    cn_init init;
    int dilation[2], groups; /* as in cn_conv2d_opts */
} cn_conv_transpose2d_opts;

typedef struct cn_pool_opts {
    const char *name;
    int size[2];    /* window, required */
    int stride[2];  /* default: the window */
    cn_padding pad; /* does not count: a maximum ignores it, an average divides by the number of
                       elements inside the image (as TensorFlow does) */
    int pads[4];    /* as in cn_conv2d_opts; less than the window */
} cn_pool_opts;

/*
 * Batch normalization (Ioffe and Szegedy 2015) of each channel: in a training session with the
 * batch's mean and variance, else with the running ones, which are updated by
 *
 *     running = momentum running + (1 - momentum) batch
 *
 * This is Keras's convention, whose defaults are momentum 0.99 and epsilon 1e-3. PyTorch calls
 * 1 - momentum "momentum": its defaults, and ours, are 0.9 (0.1 there) and 1e-5. The running
 * variance is the unbiased one, as in PyTorch. A session that trains refuses a batch with one value
 * per channel, such as one example after a global average pool; cn_fit leaves out such a last batch
 * of an epoch. Parameters "weight" (gamma, from 1) and "bias" (beta, from 0); buffers
 * "running_mean" and "running_var".
 */
typedef struct cn_batch_norm_opts {
    const char *name;
    double momentum; /* of the running statistics, below 1; default 0.9 */
    double epsilon;  /* added to the variance; default 1e-5 */
    bool no_scale;   /* no gamma, as Keras's scale=False */
    bool no_shift;   /* no beta, as Keras's center=False */
} cn_batch_norm_opts;

typedef struct cn_dense_opts {
    const char *name;
    int units; /* n_out, required */
    bool no_bias;
    cn_init init;
} cn_dense_opts;

typedef struct cn_scale_opts {
    const char *name;
    double factor; /* default 1 */
} cn_scale_opts;

typedef struct cn_leaky_relu_opts {
    const char *name;
    double slope; /* of the negative side, above 0; default 0.01 */
} cn_leaky_relu_opts;

typedef struct cn_elu_opts {
    const char *name;
    double alpha; /* minus the value for x = -infinity, above 0; default 1 */
} cn_elu_opts;

typedef struct cn_gelu_opts {
    const char *name;
    /* (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2 in place of the integral, as some networks
     * were trained with; it differs by up to 5e-4 and is no faster here. */
    bool approximate;
} cn_gelu_opts;

typedef struct cn_adaptive_pool_opts {
    const char *name;
    int size[2]; /* of the output, n_H and n_W, required */
} cn_adaptive_pool_opts;

typedef struct cn_pads_opts {
    const char *name;
    int pads[4]; /* rows above, columns left, rows below, columns right */
} cn_pads_opts;

typedef enum cn_upsample_method {
    CN_UPSAMPLE_NEAREST = 0,
    CN_UPSAMPLE_BILINEAR = 1
} cn_upsample_method;

typedef struct cn_upsample_opts {
    const char *name;
    int factor[2]; /* required */
    cn_upsample_method method;
} cn_upsample_opts;

typedef struct cn_dropout_opts {
    const char *name;
    double rate; /* probability of zeroing an element, above 0 and below 1, required */
} cn_dropout_opts;

typedef struct cn_layer_norm_opts {
    const char *name;
    bool all_axes;  /* over a whole example, as PyTorch's LayerNorm of its shape; default: over the
                       last axis, as in Keras */
    double epsilon; /* added to the variance; default 1e-5 */
    bool no_scale;  /* no gamma */
    bool no_shift;  /* no beta */
} cn_layer_norm_opts;

typedef struct cn_group_norm_opts {
    const char *name;
    int groups;     /* of n_C / groups channels each, required */
    double epsilon; /* added to the variance; default 1e-5 */
    bool no_scale;  /* no gamma */
    bool no_shift;  /* no beta */
} cn_group_norm_opts;

typedef struct cn_shift_opts {
    const char *name;
    double offset; /* added to every element; default 0 */
} cn_shift_opts;

typedef struct cn_clip_opts {
    const char *name;
    double lower, upper; /* bounds, lower no more than upper; default 0 */
} cn_clip_opts;

typedef enum cn_resize_method {
    CN_RESIZE_NEAREST = 0,
    CN_RESIZE_LINEAR = 1,
    CN_RESIZE_CUBIC = 2,
} cn_resize_method;

/* Where a pixel of the output lies in the input: src/layers/resize.c has the formulas. */
typedef enum cn_coordinates {
    CN_COORDINATES_HALF_PIXEL = 0,
    CN_COORDINATES_PYTORCH = 1,
    CN_COORDINATES_ALIGN_CORNERS = 2,
    CN_COORDINATES_ASYMMETRIC = 3,
    CN_COORDINATES_SYMMETRIC = 4,
    CN_COORDINATES_CROP = 5,
} cn_coordinates;

typedef enum cn_rounding {
    CN_ROUNDING_DOWN = 0, /* to the nearest, a half down */
    CN_ROUNDING_UP = 1,   /* a half up */
    CN_ROUNDING_FLOOR = 2,
    CN_ROUNDING_CEIL = 3,
} cn_rounding;

typedef struct cn_resize_opts {
    const char *name;
    int size[2]; /* n_H, n_W, required */
    cn_resize_method method;
    cn_coordinates coordinates;
    cn_rounding rounding;    /* of the nearest pixel */
    double cubic;            /* the cubic's coefficient; default -0.75 */
    bool inside;             /* only pixels inside the image have shares, which then sum to 1 */
    double scale_h, scale_w; /* default: n / n_prev */
    /* Linear and cubic: where the image shrinks, a pixel is made of all pixels that it covers. */
    bool antialias;
    /* With CN_COORDINATES_CROP, as parts of n_prev - 1: where the part of the image begins (default
     * 0), how far it reaches (default 1, negative: mirrored), and what lies beyond the image
     * (default 0). */
    double crop_y, crop_x, crop_h, crop_w, outside;
} cn_resize_opts;

typedef enum cn_pad_mode {
    CN_PAD_CONSTANT = 0,
    CN_PAD_REFLECT = 1, /* mirrored at the outermost pixel, which is not repeated */
    CN_PAD_EDGE = 2,
    CN_PAD_WRAP = 3,
} cn_pad_mode;

typedef struct cn_pad_opts {
    const char *name;
    int pads[4]; /* rows above, columns left, rows below, columns right */
    cn_pad_mode mode;
    double value; /* of a constant; default 0 */
} cn_pad_opts;

typedef struct cn_local_response_norm_opts {
    const char *name;
    int size;     /* channels, required */
    double alpha; /* default 1e-4 */
    double beta;  /* default 0.75 */
    double bias;  /* default 1 */
} cn_local_response_norm_opts;

/* The options of layers that importers add by cn_model_add_layer; docs/models.md lists them. */
typedef struct cn_reshape_opts {
    const char *name;
    int size[2]; /* n_H, n_W, required: (n_H, n_W, n_C) with as many channels as there are elements
                  */
} cn_reshape_opts;

typedef struct cn_transpose_opts {
    const char *name;
    int axes[2]; /* of an example read as (.., A, B, inner), A and B, which change places; required
                  */
    int inner;   /* default 1 */
} cn_transpose_opts;

typedef enum cn_axis { CN_AXIS_CHANNELS = 0, CN_AXIS_COLUMNS = 1, CN_AXIS_ROWS = 2 } cn_axis;

typedef struct cn_slice_opts {
    const char *name;
    int count, begin,
        step; /* begin, begin + step, ..: `count` (required) of them; step default 1 */
    cn_axis axis;
} cn_slice_opts;

typedef struct cn_affine_opts {
    const char *name;
    bool no_scale; /* no "weight" */
    bool no_shift; /* no "bias" */
} cn_affine_opts;

typedef struct cn_constant_opts {
    const char *name;
    int size[2];  /* n_H, n_W, required */
    int channels; /* default 1 */
    bool fixed;   /* it is not learnt */
} cn_constant_opts;

/* A model whose examples are (n_H, n_W, n_C). */
CN_API cn_status cn_model_create(cn_model **model, const int shape[3], cn_error *err);
CN_API void cn_model_free(cn_model *model);

CN_API cn_node cn_input(cn_model *model);
CN_API cn_node cn_conv2d(cn_model *model, cn_node x, const cn_conv2d_opts *opts);
CN_API cn_node cn_depthwise_conv2d(cn_model *model, cn_node x,
                                   const cn_depthwise_conv2d_opts *opts);
CN_API cn_node cn_conv_transpose2d(cn_model *model, cn_node x,
                                   const cn_conv_transpose2d_opts *opts);
CN_API cn_node cn_max_pool(cn_model *model, cn_node x, const cn_pool_opts *opts);
CN_API cn_node cn_average_pool(cn_model *model, cn_node x, const cn_pool_opts *opts);
/* n_out = units; an input of rank 3 is flattened first. */
CN_API cn_node cn_dense(cn_model *model, cn_node x, const cn_dense_opts *opts);
CN_API cn_node cn_flatten(cn_model *model, cn_node x);
CN_API cn_node cn_relu(cn_model *model, cn_node x);
CN_API cn_node cn_sigmoid(cn_model *model, cn_node x);
CN_API cn_node cn_tanh(cn_model *model, cn_node x);
/* (n_H, n_W, n_C) -> (n_C): the mean over all pixels. */
CN_API cn_node cn_global_average_pool(cn_model *model, cn_node x);
/* Means over windows chosen so that the output has the size asked for, as PyTorch's
 * AdaptiveAvgPool2d: element p from floor(p n_prev / n) up to ceil((p + 1) n_prev / n). */
CN_API cn_node cn_adaptive_average_pool(cn_model *model, cn_node x,
                                        const cn_adaptive_pool_opts *opts);
/* Adds rows and columns of zeros around each image; removes rows and columns. */
CN_API cn_node cn_zero_pad2d(cn_model *model, cn_node x, const cn_pads_opts *opts);
CN_API cn_node cn_crop2d(cn_model *model, cn_node x, const cn_pads_opts *opts);
/* Enlarges by a whole factor; bilinear with pixel centers at half coordinates, as PyTorch's
 * align_corners=False. */
CN_API cn_node cn_upsample2d(cn_model *model, cn_node x, const cn_upsample_opts *opts);
/* In training, zeroes each element with probability `rate` and scales the rest by 1 / (1 - rate);
 * identity otherwise (Srivastava et al. 2014). What is zeroed is a function of the session's seed,
 * the layer, the number of forwards so far and the element, whatever the number of threads. */
CN_API cn_node cn_dropout(cn_model *model, cn_node x, const cn_dropout_opts *opts);
/* gamma (x - mean) / sqrt(variance + epsilon) + beta (Ba, Kiros and Hinton 2016); gamma and beta,
 * "weight" and "bias", have the shape that mean and variance (biased) are taken over. */
CN_API cn_node cn_layer_norm(cn_model *model, cn_node x, const cn_layer_norm_opts *opts);
/* The same over each example's groups of channels (Wu and He 2018), with gamma and beta (n_C).
 * groups = n_C is instance normalization. */
CN_API cn_node cn_group_norm(cn_model *model, cn_node x, const cn_group_norm_opts *opts);
/* x where x > 0, else slope x. */
CN_API cn_node cn_leaky_relu(cn_model *model, cn_node x, const cn_leaky_relu_opts *opts);
/* min(max(x, 0), 6). */
CN_API cn_node cn_relu6(cn_model *model, cn_node x);
/* x where x > 0, else alpha (e^x - 1). */
CN_API cn_node cn_elu(cn_model *model, cn_node x, const cn_elu_opts *opts);
/* x / (1 + e^-x), also called swish. */
CN_API cn_node cn_silu(cn_model *model, cn_node x);
/* x times the normal distribution's integral up to x. */
CN_API cn_node cn_gelu(cn_model *model, cn_node x, const cn_gelu_opts *opts);
/* ln(1 + e^x). */
CN_API cn_node cn_softplus(cn_model *model, cn_node x);
/* min(max(x + 3, 0), 6) / 6; and x times that. */
CN_API cn_node cn_hard_sigmoid(cn_model *model, cn_node x);
CN_API cn_node cn_hard_swish(cn_model *model, cn_node x);
/* Over the last axis. */
CN_API cn_node cn_softmax(cn_model *model, cn_node x);
/* Over all axes but the last one, the channels. */
CN_API cn_node cn_batch_norm(cn_model *model, cn_node x, const cn_batch_norm_opts *opts);
/* factor x, not trained; before a softmax, a temperature. */
CN_API cn_node cn_scale(cn_model *model, cn_node x, const cn_scale_opts *opts);
/* a + b, of equal shapes: the sum of a residual block. */
CN_API cn_node cn_add(cn_model *model, cn_node a, cn_node b);
/* 2 to 8 inputs with the same leading axes, concatenated along the last axis. */
CN_API cn_node cn_concat(cn_model *model, const cn_node *inputs, int count);

/* Any layer by the name of its type, with options in the text form (docs/models.md), "6 5x5 same":
 * for bindings and importers, which then need none of the structs above. */
CN_API cn_node cn_model_add_layer(cn_model *model, const char *type, const cn_node *inputs,
                                  int count, const char *options);

/* Ends the building: checks, allocates and initializes the parameters from the seed. */
CN_API cn_status cn_model_finish(cn_model *model, cn_node output, uint64_t seed, cn_error *err);

/*
 * A finished model from a text: a name of the zoo ("lenet5", cn_zoo_at lists them) or layers in
 * order: "conv 6 5x5 same, relu, maxpool 2, dense 120, relu, dense 10" (docs/models.md has the
 * grammar). `shape` is an example's (n_H, n_W, n_C). A layer list that ends in neither softmax nor
 * sigmoid gets a softmax. The word "classes" stands for the number `classes`, as in the zoo's
 * "dense classes"; a text without it ignores `classes`.
 */
CN_API cn_status cn_model_parse(cn_model **model, const char *text, const int shape[3], int classes,
                                uint64_t seed, cn_error *err);

/* What is asked about an image. */
typedef enum cn_task_kind {
    CN_TASK_CLASSIFICATION = 0, /* one class */
    CN_TASK_SEGMENTATION = 1,   /* a class for each pixel */
    CN_TASK_MULTI_LABEL = 2,    /* of each class whether it is there: any number of them */
    CN_TASK_REGRESSION = 3,     /* one number or several */
} cn_task_kind;
/* cn_model_parse for a task: a list without a softmax or a sigmoid at its end gets the softmax for
 * classes, a sigmoid for several labels per image, and nothing for numbers. `classes` is then the
 * number of labels or of numbers. */
CN_API cn_status cn_model_parse_task(cn_model **model, const char *text, const int shape[3],
                                     int classes, cn_task_kind task, uint64_t seed, cn_error *err);
/* A network of the zoo, and the input that it was designed for. */
typedef struct cn_zoo_network {
    const char *name;
    const char *text;   /* one line */
    const char *layers; /* in the text form; NULL where that is too long to read */
    int shape[3];       /* n_H, n_W, n_C */
    int classes;
} cn_zoo_network;
/* The i-th one; NULL past the end. */
CN_API const cn_zoo_network *cn_zoo_at(int i);

/*
 * Transfer learning: the weights of one network as the beginning of another.
 *
 * cn_model_transfer copies every parameter and buffer of `from` that `to` has with the same name
 * and shape. `copied` (may be NULL) receives their number, and `left` (may be NULL) is called for
 * each other one of `to`, which is unchanged. CN_ERR_ARGUMENT where nothing matches.
 *
 * cn_model_adapt makes the network of `from` for images of another shape or for other classes.
 * Where the number of outputs differs, the last dense or convolutional layer, which determines it,
 * gets `classes` outputs. Parameters whose shape is unchanged are copied, the others drawn from the
 * seed; the normalization is kept, class names are not. Logits, as in a network from an ONNX file,
 * get a softmax. CN_ERR_SHAPE where the shape does not fit the layers.
 */
CN_API cn_status cn_model_transfer(cn_model *to, const cn_model *from, int *copied,
                                   void (*left)(const char *name, void *user), void *user,
                                   cn_error *err);
CN_API cn_status cn_model_adapt(cn_model **model, const cn_model *from, const int shape[3],
                                int classes, uint64_t seed, cn_error *err);

/* What prediction needs besides the weights, stored in the model and in its file: the names of the
 * classes (UTF-8; copied), and the normalization x = (value - mean[c]) / std[c] of pixels in
 * [0, 1], or of floats as the data set has them. Setting it resets the range of values in
 * cn_image_opts, which cn_fit takes from the data. */
CN_API cn_status cn_model_set_classes(cn_model *model, int n, const char *const *names,
                                      cn_error *err);
CN_API cn_status cn_model_set_normalization(cn_model *model, const float *mean, const float *std,
                                            cn_error *err);
/* NULL where none were set. */
CN_API const char *cn_model_class_name(const cn_model *model, int i);

/* How an image of other proportions than n_H x n_W is fitted. */
typedef enum cn_fit_mode {
    CN_FIT_CROP = 0,    /* the largest part around its center that has them */
    CN_FIT_STRETCH = 1, /* all of it, height and width resized each by itself */
} cn_fit_mode;

/* The color behind transparent pixels. */
typedef enum cn_background { CN_BACKGROUND_WHITE = 0, CN_BACKGROUND_BLACK = 1 } cn_background;

/*
 * How images are brought to a model's input, the same in prediction as in training: cn_fit takes
 * these options from the data set, and the model's file stores them.
 */
typedef struct cn_image_opts {
    cn_fit_mode fit;
    cn_background background;
    bool deep;        /* samples of more than 8 bits are kept as floats, not rounded to bytes */
    double low, high; /* the input values that stand for 0 and 1; both 0: unknown, and then pixels
                         are in [0, 1] and arrays unscaled */
    int resize; /* with CN_FIT_CROP: the shorter side is brought to so many pixels, and n_H x n_W are
                   cut out around the center, as 224 x 224 after 256; 0: the largest part that has
                   the proportions, which also serves where an image is too narrow */
    double float_low, float_high; /* what stands for 0 and 1 in image files of floats (TIFF), which
                                     may go a little beyond; both 0: 0 and 1 themselves */
} cn_image_opts;
CN_API cn_status cn_model_set_image_opts(cn_model *model, const cn_image_opts *opts, cn_error *err);
CN_API cn_image_opts cn_model_image_opts(const cn_model *model);

/*
 * The task that a model is for, which cn_fit takes from the data set and the model's file stores.
 *
 * Numbers are learned standardized, (t - mean[j]) / std[j] for number j: cn_fit takes mean and
 * deviation from the training data where none were set. The outputs of a session are standardized,
 * too; cn_model_restore_targets brings them back, which cn_evaluate and `convnet predict` do.
 * Several labels per image have a threshold each, 0.5 unless it was set: a label is there where its
 * probability is above it. cn_model_set_targets takes cn_model_output_size numbers each, cn_model_set_thresholds
 * as many, in [0, 1].
 */
CN_API cn_task_kind cn_model_task(const cn_model *model);
CN_API cn_status cn_model_set_targets(cn_model *model, const float *mean, const float *std,
                                      cn_error *err);
CN_API cn_status cn_model_set_thresholds(cn_model *model, const float *thresholds, cn_error *err);
/* The threshold of label j; 0.5 where none were set. */
CN_API float cn_model_threshold(const cn_model *model, int j);
/* y (m, output size) becomes y[j] std[j] + mean[j], in place; unchanged for other tasks. */
CN_API void cn_model_restore_targets(const cn_model *model, int m, float *y);

/* The number of names set; 0 where there are none. */
CN_API int cn_model_class_count(const cn_model *model);
/* n_C numbers each; NULL where no normalization was set. */
CN_API const float *cn_model_mean(const cn_model *model);
CN_API const float *cn_model_std(const cn_model *model);

/* (n_H, n_W, n_C) of an example. */
CN_API const int *cn_model_input_shape(const cn_model *model);
/* The extents of one example's output, `rank` of them: (classes), or (n_H, n_W, classes). NULL
 * before cn_model_finish. */
CN_API const int *cn_model_output_shape(const cn_model *model, int *rank);
/* The elements of one example's output. */
CN_API int cn_model_output_size(const cn_model *model);

/*
 * Networks of several inputs or outputs, which ONNX files may hold.
 *
 * An example is one array throughout, and so is its output. Several inputs are packed into the input
 * (1, 1, N), the elements of one after those of another, each in its own order; several outputs are
 * packed into the output (N). A port tells which elements are whose. Any other model has one port on
 * each side: its input and its output.
 *
 * Sessions, cn_gradcheck and files take models with several. Data sets have one of each, so cn_fit,
 * cn_evaluate and cn_model_adapt are CN_ERR_UNSUPPORTED there, and for several inputs
 * cn_image_prepare.
 */
typedef struct cn_port {
    const char *name; /* belongs to the model; UTF-8 */
    int rank;         /* 3: (n_H, n_W, n_C); 1: (n) */
    int shape[CN_MAX_RANK];
    int offset; /* of its first element among an example's */
} cn_port;
/* 1 where there is one; 0 before cn_model_finish. */
CN_API int cn_model_input_count(const cn_model *model);
CN_API int cn_model_output_count(const cn_model *model);
/* `i` counts from 0; false past the end. */
CN_API bool cn_model_input(const cn_model *model, int i, cn_port *out);
CN_API bool cn_model_output(const cn_model *model, int i, cn_port *out);
/* A new model that makes this output of `from` alone, of the layers that it depends on, with their
 * weights. Inputs that it does not depend on stay. CN_ERR_ARGUMENT where there is no such output. */
CN_API cn_status cn_model_select_output(cn_model **model, const cn_model *from, const char *output,
                                        cn_error *err);

/*
 * Parameters are tensors in one flat F32 block. `i` counts from 0 in layer order; false past the
 * end. The tensor is a view. Write to it only while no session runs, then call
 * cn_model_weights_changed: sessions keep packed copies of the weights, and make them again after
 * that call only.
 */
typedef struct cn_parameter {
    const char *name; /* "conv2d_1.weight", "conv2d_1.bias" */
    cn_tensor value;
    bool buffer; /* not trained but updated while training, such as batch norm's running mean */
} cn_parameter;
CN_API bool cn_model_parameter(const cn_model *model, int i, cn_parameter *out);
CN_API void cn_model_weights_changed(cn_model *model);
/* Elements of all trained parameters together, and of all statistics. */
CN_API size_t cn_model_parameter_elements(const cn_model *model);
CN_API size_t cn_model_buffer_elements(const cn_model *model);

/*
 * How training treats the parameters whose names match a pattern, in which * stands for any
 * characters and ? for one: "conv2d_*", "*.bias". It applies to sessions created afterwards and is
 * not saved. CN_ERR_ARGUMENT where nothing matches.
 *
 * A frozen parameter is not updated, and its gradient is not computed (cn_session_gradient shows
 * zeros); where all layers before it are frozen, too, a layer's backward does not run at all. The
 * other two multiply the parameter's learning rate and its weight decay by a factor of 0 or more,
 * which replaces the previous one; initially 1.
 */
CN_API cn_status cn_model_freeze(cn_model *model, const char *pattern, bool frozen, cn_error *err);
CN_API cn_status cn_model_scale_rate(cn_model *model, const char *pattern, double factor,
                                     cn_error *err);
CN_API cn_status cn_model_scale_decay(cn_model *model, const char *pattern, double factor,
                                      cn_error *err);

/* ---- 6. Sessions ------------------------------------------------------------------------ */

/*
 * A session is a model prepared to run batches of up to `batch` examples: shapes, fusion, packed
 * weights, all memory. Whatever can fail fails while it is created; a step allocates nothing. The
 * model must outlive its sessions. Several sessions may predict from one model at once, each in a
 * thread of its own; while one trains, no other may run.
 */
typedef struct cn_session cn_session;

typedef enum cn_loss_kind {
    CN_LOSS_DEFAULT = 0,              /* cross-entropy after a softmax, binary after a sigmoid,
                                         else mean squared error */
    CN_LOSS_CROSS_ENTROPY = 1,        /* the mean of -log y_hat[label] over examples and pixels */
    CN_LOSS_BINARY_CROSS_ENTROPY = 2, /* mean over examples and outputs */
    CN_LOSS_MEAN_SQUARED_ERROR = 3,   /* mean over examples and outputs of (y_hat - y)^2 */
    CN_LOSS_DICE = 4,  /* 1 minus the mean Dice coefficient of an image's classes; Milletari 2016 */
    CN_LOSS_FOCAL = 5, /* the cross-entropy of the last layer, softmax or sigmoid, times
                          (1 - y_hat[label])^2: easy pixels count less; Lin 2017 */
    CN_LOSS_MEAN_ABSOLUTE_ERROR = 6, /* mean over examples and outputs of |y_hat - y| */
} cn_loss_kind;

/* The label of a pixel that has no part in a loss or a metric; for outputs (n_H, n_W, n_C). */
enum { CN_LABEL_IGNORED = -1 };

/* What training minimizes; src/layers/loss.c has the formulas. */
typedef struct cn_loss_opts {
    cn_loss_kind kind;
    /* Cross-entropies: the targets become (1 - s) y + s / classes (Szegedy 2016); two classes where
     * the loss is binary. Default 0, less than 1. */
    double label_smoothing;
    /* Cross-entropy, binary cross-entropy of one output, and focal loss, of labels: one weight per
     * class, none negative. An example has the weight of its label, and the loss is the weighted mean, as in
     * PyTorch. Copied. NULL: all 1. cn_dataset_class_weights balances a set. */
    const float *class_weights;
} cn_loss_opts;

typedef enum cn_optimizer_kind {
    CN_OPTIMIZER_ADAM = 0, /* Kingma and Ba 2015, algorithm 1 */
    CN_OPTIMIZER_SGD =
        1, /* with momentum as in Sutskever 2013, the rate outside: the form of PyTorch */
    CN_OPTIMIZER_ADAMW =
        2, /* Adam with decoupled decay (Loshchilov and Hutter 2019), default 0.01 */
    CN_OPTIMIZER_RMSPROP = 3, /* Hinton 2012; epsilon outside of the root */
} cn_optimizer_kind;

/*
 * How a step updates the weights w with the gradient g; `rate` is the learning rate times the
 * parameter's own factor (cn_model_scale_rate), and t = 1, 2, ... counts the steps. The equations,
 * the defaults and, except for which parameters decay, the steps are those of torch.optim.
 *
 *     clip_norm         g = g min(1, clip_norm / (|g| + 1e-6)), |g| over all parameters
 *     clip_value        g = min(max(g, -clip_value), clip_value), after clip_norm
 *     weight_decay = d  g = g + d w;  decoupled: w = w (1 - rate d)
 *
 *     SGD               v = momentum v + (1 - dampening) g    (the first v is g)
 *                       w = w - rate v;  nesterov: w = w - rate (g + momentum v)
 *     Adam, AdamW       m = beta1 m + (1 - beta1) g,  v = beta2 v + (1 - beta2) g^2
 *                       w = w - rate m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon)
 *     RMSprop           v = alpha v + (1 - alpha) g^2,  u = momentum u + g / (sqrt(v) + epsilon)
 *                       w = w - rate u
 */
typedef struct cn_optimizer {
    cn_optimizer_kind kind;
    double momentum;  /* SGD, RMSprop: from 0, the default, to less than 1 */
    double dampening; /* SGD; default 0 */
    bool nesterov;    /* SGD with momentum and without dampening */
    double beta1;     /* Adam, AdamW: default 0.9 */
    double beta2;     /* Adam, AdamW: default 0.999 */
    double alpha;     /* RMSprop: default 0.99 */
    double epsilon;   /* default 1e-8 */
    double weight_decay;
    bool decoupled; /* always so with AdamW */
    bool decay_all; /* weight decay also of the parameters of rank 1, biases and those of
                       normalization layers, which are exempt otherwise (He 2019) */
    double clip_norm, clip_value; /* default 0: no clipping */
} cn_optimizer;

/* The learning rate where none is given: 0.05 for SGD, 0.001 for RMSprop, 0.002 for Adam, AdamW. */
CN_API double cn_optimizer_default_rate(cn_optimizer_kind kind);

/*
 * The precision of products in convolutions and dense layers. With BF16 both factors are rounded
 * to bfloat16, 8 significant bits instead of 24, and the products are summed in float32; weights,
 * activations, gradients and the optimizer's step stay float32. Meant for processors with
 * AVX512_BF16, which compute two such products in the time of one; others give the same bits, more
 * slowly. 3 x 3 convolutions by Winograd's method, depthwise ones and a few others gain nothing and
 * stay float32 (docs/kernels.md lists them).
 */
typedef enum cn_precision {
    CN_PRECISION_F32 = 0,
    CN_PRECISION_BF16 = 1,
} cn_precision;

typedef struct cn_session_opts {
    int batch;   /* default 1 */
    int threads; /* default: OMP_NUM_THREADS, else the processors that this process may run on, or
                    the CPU quota of its container, rounded up */
    bool training;
    uint64_t seed;       /* of layers that draw random numbers, such as dropout */
    bool input_gradient; /* training: compute the gradient of X, for cn_session_input_gradient */
    bool no_winograd;    /* 3 x 3 convolutions by direct summation only: slower, a little more
                            accurate (docs/kernels.md has the figures) */
    /* Each forward packs the weights for the kernels anew, layer by layer, into memory that all layers
     * share; else they are packed once after they have changed, and kept, which takes more memory
     * than the weights. The same results; where each forward follows a step, at the same speed. */
    bool repack;
    cn_precision precision;
    cn_loss_opts loss;
    cn_optimizer optimizer;
    /* What computes. "cpu", the default where NULL: float32, fused layers, shared memory.
     * "reference": plain loops in double precision, layer by layer, without any code in common with
     * "cpu"; hundreds of times slower, to check results against. */
    const char *backend;
} cn_session_opts;

/* `opts` NULL: the defaults. */
CN_API cn_status cn_session_create(cn_session **session, cn_model *model,
                                   const cn_session_opts *opts, cn_error *err);
/* A session that never writes to the model: .training must be false. */
CN_API cn_status cn_session_create_inference(cn_session **session, const cn_model *model,
                                             const cn_session_opts *opts, cn_error *err);
CN_API void cn_session_free(cn_session *session);

/* Runs X (m, n_H, n_W, n_C) F32, already normalized, m <= batch. */
CN_API cn_status cn_session_forward(cn_session *session, const cn_tensor *X, cn_error *err);
/* The last forward's output, (m, ...) F32, a view that the next forward overwrites. */
CN_API cn_tensor cn_session_output(const cn_session *session);
/* The mean loss of the last forward; prepares cn_session_backward. Y is I32 labels, (m) or, for an
 * output (n_H, n_W, classes), (m, n_H, n_W), where CN_LABEL_IGNORED leaves a pixel out, or F32
 * targets with the output's shape. */
CN_API cn_status cn_session_loss(cn_session *session, const cn_tensor *Y, double *loss,
                                 cn_error *err);
/* Gradients of every parameter, overwritten. */
CN_API cn_status cn_session_backward(cn_session *session, cn_error *err);
/* In place of cn_session_backward for the second and further micro-batches of a step: the gradients
 * become those of the mean loss over all examples since the last cn_session_backward. */
CN_API cn_status cn_session_backward_accumulate(cn_session *session, cn_error *err);
/* One step of the optimizer with the last gradients. */
CN_API cn_status cn_session_step(cn_session *session, double learning_rate, cn_error *err);
/* The gradient of parameter i, as cn_model_parameter counts them; false for a buffer, too. */
CN_API bool cn_session_gradient(const cn_session *session, int i, cn_parameter *out);
/* The gradient of the last X, (m, n_H, n_W, n_C), a view that the next backward overwrites; empty
 * without .input_gradient. */
CN_API cn_tensor cn_session_input_gradient(const cn_session *session);
/*
 * Finds the first NaN or infinity: repeats the last forward layer by layer and, unless Y (as in
 * cn_session_loss) is NULL, the loss and the backward. It examines the images, then each layer's
 * parameters and output, then each layer's gradients from the last to the first. For a session that
 * trains, after cn_session_forward and before cn_session_step. Where everything is finite, the
 * results are those of cn_session_loss and cn_session_backward; otherwise only cn_session_forward
 * may follow.
 */
typedef struct cn_nonfinite {
    const char *layer;      /* its name, "input" for the images; NULL: everything is finite */
    int index;              /* of the layer in the model, the input's is 0 */
    char what[96];          /* "conv2d_2.weight", "the output of relu_1", "the gradient of
                               conv2d_2.weight" */
    bool nan;               /* NaN rather than only infinity */
    size_t count, elements; /* how many are not finite, out of how many */
} cn_nonfinite;
CN_API cn_status cn_session_find_nonfinite(cn_session *session, const cn_tensor *Y,
                                           cn_nonfinite *nonfinite, cn_error *err);
/* Predicts any number of examples: X (m, n_H, n_W, n_C), F32 already normalized or U8 pixels, which
 * are scaled and normalized as the model says, -> Y (m, output size) F32. An output that is NaN or
 * infinite is CN_ERR_DIVERGED, and the message names the first such parameter or layer; a Y that
 * was given may then be partly filled. */
CN_API cn_status cn_session_predict(cn_session *session, const cn_tensor *X, cn_tensor *Y,
                                    cn_error *err);

/*
 * cn_session_forward that calls `visit` after each layer that computes something, in order, with
 * the layer's index (cn_model_layer) and its output y (m, ...) F32, a view that is valid during the
 * call only: for feature maps or calibration. Layers that are fused have one output,
 * that of the last of them, and are visited once; with the backend "reference" nothing is fused.
 * Where `visit` returns true, the forward ends with CN_ERR_STOPPED, and there are no outputs.
 */
CN_API cn_status cn_session_visit(cn_session *session, const cn_tensor *X,
                                  bool (*visit)(int layer, const cn_tensor *y, void *user),
                                  void *user, cn_error *err);

/* ---- 7. Data ---------------------------------------------------------------------------- */

/* Images (n, n_H, n_W, n_C) with one label, one mask or a row of targets each, in memory or, where they
 * are too many for it, in their files (cn_dataset_opts.memory). Immutable, so threads may share it. */
typedef struct cn_dataset cn_dataset;

/* The value of a mask's pixel that has no class. */
enum { CN_MASK_IGNORED = 255 };

typedef enum cn_subset {
    CN_SUBSET_TRAIN = 0,
    CN_SUBSET_TEST = 1,
    CN_SUBSET_VALIDATION = 2, /* the set is NULL, which is no error, where it has no such part */
    CN_SUBSET_ALL = 3,        /* the images of all parts */
    /* CN_SUBSET_TEST where the set has one, else all: for models that were trained elsewhere. */
    CN_SUBSET_TEST_OR_ALL = 4,
} cn_subset;

typedef struct cn_dataset_opts {
    /* A trained model: where the spec does not say otherwise, image files are prepared as those
     * that it was trained on (size, channels, crop, background). NULL: none. */
    const cn_model *model;
    /* Image files that cannot be read are skipped and named in the remarks; otherwise the first of
     * them is the error. */
    bool skip_damaged;
    /* What image files become where neither the spec nor a model says it: rows and columns. 0: the
     * median of the set's. */
    int height, width;
    /* The memory for images and masks, in bytes. A set of more than half of it, which leaves room for
     * a copy of parts of it, is read while it is used, through a cache of what is left; the results
     * are the same bits. So are files of images, and arrays whose values lie in their file as they
     * are; docs/data.md names those that do not, and are read whole. 0: half of what this process may
     * still allocate, where limits of control groups count. */
    size_t memory;
    /* Called now and then while images are looked at, with how many have been, by the thread that
     * loads; true ends it with CN_ERR_STOPPED. NULL: nobody. */
    bool (*progress)(int done, int total, void *user);
    void *user; /* passed to it */
} cn_dataset_opts;

/*
 * `spec` is "digits" (embedded: 8 x 8 handwriting), a directory, recognized by its content, or one
 * of
 *
 *   "mnist:DIR", "idx:DIR"          the four IDX files
 *   "cifar10:DIR", "cifar100:DIR"   the binary versions
 *   "hdf5:PATH"                     the course's form, or any other (CONVNET_HDF5)
 *   "npz:PATH", "npy:PATH"          NumPy's arrays
 *   "folder:DIR"                    images, one sub-folder per class
 *   "masks:DIR"                     images and masks: a class for each pixel
 *   "csv:PATH"                      a table of images and labels, masks or numbers
 *
 * docs/data.md says what each of them expects. Where there is no test set, the validation set
 * stands in; where there is neither, CN_SUBSET_TEST is every fifth image, or with fewer than five
 * all of CN_SUBSET_TRAIN. Images are U8 in memory where the files have 8 bits, F32 otherwise.
 * `opts` may be NULL.
 */
CN_API cn_status cn_dataset_load(cn_dataset **data, const char *spec, cn_subset subset,
                                 const cn_dataset_opts *opts, cn_error *err);
/* Copies images (n, n_H, n_W, n_C), U8 pixels or F32, and labels (n) in 0..classes-1. */
CN_API cn_status cn_dataset_create(cn_dataset **data, const cn_tensor *images,
                                   const int32_t *labels, int classes, cn_error *err);
/* The same for segmentation: masks (n, n_H, n_W) U8 in 0..classes-1, or CN_MASK_IGNORED; at most 255
 * classes. */
CN_API cn_status cn_dataset_create_masks(cn_dataset **data, const cn_tensor *images,
                                         const cn_tensor *masks, int classes, cn_error *err);
/* The same for several labels per image, targets (n, count) F32 of 0 and 1, and for regression, of any
 * finite numbers; the task says which. `names` (count; copied) may be NULL: "0", "1" and so on. They
 * are what cn_dataset_class_name gives, and their number is cn_dataset_classes. */
CN_API cn_status cn_dataset_create_targets(cn_dataset **data, cn_task_kind task,
                                           const cn_tensor *images, const cn_tensor *targets,
                                           const char *const *names, cn_error *err);
/* Copies of images first..first+count-1: a part to hold out. Images that are not in memory are not
 * copied: all parts read the same files. */
CN_API cn_status cn_dataset_slice(cn_dataset **part, const cn_dataset *data, int first, int count,
                                  cn_error *err);
/* Copies of images index[0..count-1], in that order. */
CN_API cn_status cn_dataset_select(cn_dataset **part, const cn_dataset *data, const int *index,
                                   int count, cn_error *err);
/*
 * Two parts: `held` gets every (1 / fraction)-th image, evenly over the set, and `kept` the others.
 * There is no seed, so a training that is resumed never learns from what it was validated on.
 * CN_ERR_ARGUMENT where a part would be empty.
 */
CN_API cn_status cn_dataset_hold_out(cn_dataset **kept, cn_dataset **held, const cn_dataset *data,
                                     double fraction, cn_error *err);
/*
 * The same at random and stratified: each class is held out in proportion, give or take one image.
 * The parts depend on this seed only: pass the same one to resume a training. Both parts keep the
 * set's order.
 */
CN_API cn_status cn_dataset_split(cn_dataset **kept, cn_dataset **held, const cn_dataset *data,
                                  double fraction, uint64_t seed, cn_error *err);
/*
 * Reorders the classes as the model has them, by name; where one side's names are numbers only, the
 * order stays. Classes that the model lacks come after its own, with a remark: cn_evaluate counts
 * their images as wrong, cn_fit refuses them. CN_ERR_ARGUMENT where the model has none of the
 * classes. On failure the set may only be freed.
 */
CN_API cn_status cn_dataset_match_classes(cn_dataset *data, const cn_model *model, cn_error *err);
CN_API void cn_dataset_free(cn_dataset *data);
CN_API int cn_dataset_size(const cn_dataset *data);
CN_API const int *cn_dataset_shape(const cn_dataset *data); /* n_H, n_W, n_C */
CN_API int cn_dataset_classes(const cn_dataset *data);
/* How the images were prepared; `low` and `high` are the range of values that the set was found to
 * have, 0 and 1 for pixels. */
CN_API cn_image_opts cn_dataset_image_opts(const cn_dataset *data);
/* "0", "1" and so on where the set names none. */
CN_API const char *cn_dataset_class_name(const cn_dataset *data, int i);
/* How the set was stored, as the kinds of cn_dataset_load are called ("folder", "npz"); "array" for
 * one out of memory. */
CN_API const char *cn_dataset_layout(const cn_dataset *data);
/* How many damaged image files were left out, as cn_dataset_opts.skip_damaged asks for. */
CN_API int cn_dataset_skipped(const cn_dataset *data);
/* Remarks on how the set was read, one per line; "" where there are none. */
CN_API const char *cn_dataset_remarks(const cn_dataset *data);
CN_API cn_task_kind cn_dataset_task(const cn_dataset *data);
/* Image i's class; 0 for other tasks than classification. */
CN_API int32_t cn_dataset_label(const cn_dataset *data, int i);
/* All images, (n, n_H, n_W, n_C) U8 or F32, and the n labels. Where the images are not in memory,
 * the tensor has a shape but no data: cn_dataset_batch reads them. */
CN_API const cn_tensor *cn_dataset_images(const cn_dataset *data);
CN_API const int32_t *cn_dataset_labels(const cn_dataset *data);
/* All masks, (n, n_H, n_W) U8; NULL for a set that is not for segmentation. Where they are not in
 * memory, the tensor has a shape but no data: cn_dataset_batch reads them. */
CN_API const cn_tensor *cn_dataset_masks(const cn_dataset *data);
/* All targets, (n, classes) F32; NULL for a set that has neither several labels per image nor numbers. */
CN_API const cn_tensor *cn_dataset_targets(const cn_dataset *data);
/* Mean and standard deviation of each channel over all pixels scaled to [0, 1]; 1 in place of the
 * deviation of a constant channel, so that dividing by it is safe. */
CN_API void cn_dataset_statistics(const cn_dataset *data, float *mean, float *std);
/* Class weights for cn_loss_opts that balance the set: n / (classes n_c) for the n_c images of
 * class c, 0 for a class without images; 1 of a set with targets. */
CN_API void cn_dataset_class_weights(const cn_dataset *data, float *weights);
/* Images index[0..n-1] as floats, pixels scaled to [0, 1] and then normalized with mean and std
 * (both may be NULL): x (n, n_H, n_W, n_C), labels (n), or for segmentation (n, n_H, n_W) with
 * CN_LABEL_IGNORED where a pixel has no class; NULL: not wanted. Every index must be valid. An error
 * is a file's that can no longer be read or has changed, or a lack of memory; never for a set that
 * lies in memory. */
CN_API cn_status cn_dataset_batch(const cn_dataset *data, const int *index, int n,
                                  const float *mean, const float *std, float *x, int32_t *labels,
                                  cn_error *err);

/* ---- 8. Training ------------------------------------------------------------------------ */

typedef enum cn_flip {
    CN_FLIP_NONE = 0,
    CN_FLIP_RANDOM = 1,      /* left to right in one of two epochs, at random */
    CN_FLIP_ALTERNATING = 2, /* in every other epoch, beginning at random; Jordan 2024 */
    CN_FLIP_ALL = 3, /* mirrored or not, and turned by 0, 90, 180 or 270 degrees, at random; where
                        n_H differs from n_W, by 0 or 180 */
} cn_flip;

/* What lies beyond an image's border: zeros, or the image mirrored at its outermost pixel, which is
 * not repeated. */
typedef enum cn_border { CN_BORDER_ZERO = 0, CN_BORDER_REFLECT = 1 } cn_border;

/*
 * Random changes of training images, U8 or F32 with any number of channels, drawn anew in each
 * epoch. Zero means none.
 *
 * The members are applied in their order; shift, rotate and scale at once, with bilinear
 * interpolation. "Up to x" is uniform from -x to x. The draws are a function of the seed, the epoch
 * and the image's index in the data set only, not of threads or batches.
 */
typedef struct cn_augment {
    cn_border border; /* where crop, shift, rotate and scale look beyond the image */
    int crop;         /* translation by up to this many whole pixels along each axis; less than n_H
                         and n_W */
    cn_flip flip;
    double shift;      /* translation by up to this many pixels, not whole ones only */
    double rotate;     /* by up to this many degrees, at most 180 */
    double scale;      /* enlarged by the factor 1 + up to this, at most 0.9 */
    double brightness; /* pixels times 1 + up to this, at most 1; so are the next two */
    double contrast;   /* the distance from the image's mean gray times 1 + up to this */
    double saturation; /* the distance from the pixel's gray times 1 + up to this; U8 pixels are
                          clipped to 0 and 255 */
    int cutout;   /* a square of this side, centered anywhere, set to the mean color of the model's
                     normalization; DeVries and Taylor 2017 */
    double mixup; /* mixed with another image of the set, and so its target; the larger part is the
                     image's own, drawn from Beta(mixup, mixup); Zhang 2018 */
    /* A part of the original image, the file's where there is one, brought to n_H x n_W: of at least
     * this part of its area, at most 1, and of proportions from 3:4 to 4:3; 0: none. Szegedy 2015
     * has 0.08. Before all others; not for masks. */
    double random_resized_crop;
} cn_augment;

/*
 * The text form, for options: words between spaces or commas, as in "flip crop=4 border=reflect".
 *
 *     flip, flip=random, flip=alternating, flip=all; border=zero, border=reflect
 *     crop=PIXELS, shift=PIXELS                cutout=PIXELS
 *     rotate=DEGREES                           scale=FRACTION
 *     brightness=, contrast=, saturation=FRACTION; jitter=FRACTION sets all three
 *     mixup=ALPHA
 *     random-resized-crop, random-resized-crop=AREA      the least area, 0.08 unless it is given
 */
CN_API cn_status cn_augment_parse(cn_augment *augment, const char *text, cn_error *err);

typedef enum cn_schedule_kind {
    CN_SCHEDULE_DEFAULT = 0, /* cosine */
    CN_SCHEDULE_CONSTANT = 1,
    CN_SCHEDULE_COSINE = 2,
    CN_SCHEDULE_STEP = 3,
    CN_SCHEDULE_POLYNOMIAL = 4,
    CN_SCHEDULE_ONE_CYCLE = 5,
    CN_SCHEDULE_PLATEAU = 6,
} cn_schedule_kind;

enum { CN_MAX_MILESTONES = 8 };

/*
 * The learning rate at step s = 0, 1, ... of S, counted over the whole training, as a factor of the
 * given rate. With W = round(warmup S / epochs), the first W steps rise linearly,
 * (s + 1) / (W + 1); the others follow the kind, with t = (s - W) / (S - W):
 *
 *     constant     1
 *     cosine       end + (1 - end) (1 + cos(pi t)) / 2           Loshchilov and Hutter 2017
 *     step         factor^k, k the number of milestones (or multiples of `every`) among the
 *                  completed epochs
 *     polynomial   end + (1 - end) (1 - t)^power
 *     one cycle    start + (1 - start) t / peak                  while t < peak   Smith 2018
 *                  1 + (end - 1) (t - peak) / (1 - peak)         after it
 *     plateau      max(end, factor^k): k grows after `patience` epochs in a row without a better
 *                  validation (cn_best says what is compared)
 *
 * docs/training.md shows them as curves.
 */
typedef struct cn_schedule {
    cn_schedule_kind kind;
    double warmup;                     /* epochs, whole or not; default 0 */
    double start;                      /* default 0.04 */
    double peak;                       /* default 0.3 */
    double end;                        /* default 0 */
    double power;                      /* default 1: a straight line */
    double factor;                     /* default 0.1 */
    int every;                         /* epochs */
    int milestones[CN_MAX_MILESTONES]; /* epochs, rising; a zero ends the list */
    int patience;                      /* epochs; default 5 */
} cn_schedule;

/* The rate of step 0, 1, ...; `steps` is their number per epoch. After step epochs x steps a curve
 * keeps its last rate, while `every` and the milestones go on. A plateau's k is 0 here. */
CN_API double cn_schedule_rate(const cn_schedule *schedule, double rate, int64_t step, int steps,
                               int epochs);

/*
 * An average a of the parameters w and buffers, updated every `every` steps. Validation measures
 * it, and the model ends with it.
 *
 *     EMA         a = d a + (1 - d) w, d = min(decay, (1 + n) / (10 + n)) at update n = 1, 2, ...,
 *                 so that the initial weights are soon forgotten
 *     lookahead   a = d a + (1 - d) w and then w = a, d = decay (s / S)^power after step s of S
 *                 (Zhang 2019 with power 0)
 */
typedef enum cn_average_kind {
    CN_AVERAGE_NONE = 0,
    CN_AVERAGE_EMA = 1,
    CN_AVERAGE_LOOKAHEAD = 2,
} cn_average_kind;

typedef struct cn_average {
    cn_average_kind kind;
    double decay; /* default 0.999; lookahead 0.5 */
    int every;    /* default 1; lookahead 5 */
    double power; /* lookahead; default 0 */
} cn_average;

typedef enum cn_monitor {
    CN_MONITOR_LOSS = 0,     /* the validation's loss falls */
    CN_MONITOR_ACCURACY = 1, /* its accuracy grows */
    CN_MONITOR_MEAN_IOU = 2, /* its mean IoU grows; segmentation */
} cn_monitor;

/* An epoch is better where `monitor` beats the best so far by more than min_delta. */
typedef struct cn_best {
    bool keep;    /* the model ends with the weights of its best epoch, not of its last */
    int patience; /* early stopping, with `keep`, after this many epochs in a row without a better
                     one; default 0: never */
    double min_delta;
    cn_monitor monitor;
} cn_best;

/* What a callback sees: after a step valid_accuracy and valid_loss are NaN; after an epoch
 * everything is set (NaN without a validation set). */
typedef struct cn_progress {
    bool epoch_end;
    int epoch, epochs;     /* counted from 1 */
    int step, steps;       /* of the optimizer, in this epoch */
    double train_loss;     /* mean over this epoch so far */
    double train_accuracy; /* on the images as they were trained on */
    double valid_loss, valid_accuracy;
    double valid_mean_iou; /* NaN unless the task is segmentation */
    double
        valid_mean_ap; /* mean average precision; NaN unless there are several labels per image */
    double valid_r_squared; /* NaN unless the task is regression, whose accuracies are NaN */
    int best_epoch; /* the best so far, as cn_best says; 0: none yet, or no validation set */
    double learning_rate;
    double seconds;           /* of training so far, validation not counted */
    double images_per_second; /* over this epoch so far */
    /* Of this epoch so far, on this rank: the time that the training waited for the thread that makes
     * batches; 0 where there is none, as with one thread. */
    double wait_seconds;
} cn_progress;

/*
 * Checkpoints are files from which a training goes on as if it had never stopped. One is written
 * whenever `epochs`, `steps` or `seconds` have passed since the last (all zero: after every epoch),
 * when `progress` asks to stop, and at the end. Writing is atomic: a process that is killed leaves
 * the previous file whole. A checkpoint is a model file, too, for cn_model_load.
 */
typedef struct cn_checkpoint_opts {
    const char *path; /* the file to write; NULL: none */
    int epochs, steps;
    double seconds;
    const char *note; /* any UTF-8 text to store in it: cn_checkpoint_note */
    /* Called after each write with its result; `user` is that of cn_fit_opts. After a failure the
     * previous file is whole, and the training goes on and tries again when the next is due. */
    void (*written)(const cn_error *result, void *user);
} cn_checkpoint_opts;

/*
 * Training on several processes at once, on one machine or on many. They are called ranks, as in
 * MPI: every rank calls cn_fit with the same model, data and options, and ends with the same model.
 *
 * The communicator moves bytes between the ranks and computes nothing: every sum is made by the
 * library, in an order that does not depend on the number of ranks. All ranks call its functions in
 * the same order, from one thread each. A failure is an error of the library's kind (CN_ERR_IO,
 * say); the training then ends on this rank, and the others must not wait for it.
 */
typedef struct cn_part {
    void *data;
    size_t bytes;
} cn_part;

typedef struct cn_communicator {
    int rank, size; /* this rank of 0 .. size-1 */
    int threads;    /* what cn_fit_opts.threads = 0 means on this rank; 0: the same as elsewhere */
    int hosts;      /* machines that the ranks run on; 0: not known */
    void *self;
    /* Sends send[r] to every other rank r and receives receive[r] from it; both arrays have `size`
     * entries, whose sizes in bytes agree between any two ranks and may be 0. The own entries are
     * ignored. Returns once all has arrived and what was sent may be overwritten. */
    cn_status (*exchange)(void *self, const cn_part *send, const cn_part *receive, cn_error *err);
    /* The same in the background, so that gradients travel while others are computed: `start`
     * returns at once, and *done becomes true in a call of `test` when the exchange has ended,
     * until when `data` must stay. Several may be under way: `tag`, 0 or more, tells which is
     * which. Only their tags have to agree between ranks, not their order. `exchange` may be called
     * while others are under way. NULL, both: everything is exchanged after backward. */
    cn_status (*start)(void *self, int tag, const cn_part *send, const cn_part *receive,
                       cn_error *err);
    cn_status (*test)(void *self, int tag, bool *done, cn_error *err);
    /* Memory that all ranks see, which ranks on one machine may have: they then read each other's
     * gradients where these lie, and each takes a part of the optimizer's step and of the weights'
     * packing. Every rank asks for as many bytes as it likes; parts[r] (`size` entries) becomes the
     * address, in this process, of those of rank r, aligned to 64 bytes; parts[0] becomes NULL, on
     * all ranks, where there is no such memory. Whatever a rank has written before its part of an
     * exchange begins is seen by a rank for which the exchange has ended. `unshare`, which takes
     * the same addresses, frees it; all ranks call it. NULL, both: there is none. */
    cn_status (*share)(void *self, size_t bytes, void **parts, cn_error *err);
    void (*unshare)(void *self, void **parts);
} cn_communicator;

/*
 * The ranks that mpirun, mpiexec or srun has started, by MPI: every one calls it, and cn_mpi_close
 * at the end. Initializes MPI unless the program has, and then ends it in cn_mpi_close. For one
 * thread, the one that initialized MPI. CN_ERR_UNSUPPORTED where the library was built without MPI;
 * CN_ERR_IO has MPI's own words.
 */
CN_API cn_status cn_mpi_open(cn_communicator *communicator, cn_error *err);
CN_API void cn_mpi_close(cn_communicator *communicator);
/* How many processes MPI's launcher has started together with this one, by its environment; 0 where
 * none has. Initializes nothing. */
CN_API int cn_mpi_launched(void);

typedef struct cn_fit_opts {
    int epochs;     /* default 1; early stopping may end after fewer */
    int batch;      /* default 64, with masks 4; the last, smaller batch of an epoch counts, too,
                       except where its batch norm would see one value per channel */
    int accumulate; /* micro-batches per optimizer step, of which the mean gradient is applied;
                       default 1 */
    int threads;    /* as in cn_session_opts */
    uint64_t seed;  /* order of the examples, and their augmentation */
    bool no_shuffle;
    cn_precision precision; /* of training and of validation */
    const char *backend;    /* of both: as in cn_session_opts */
    double learning_rate;   /* default: cn_optimizer_default_rate */
    cn_schedule schedule;
    int schedule_epochs; /* its length, and lookahead's S; default: `epochs`, or what it was where
                            the training is resumed */
    cn_optimizer optimizer;
    cn_loss_opts loss;  /* validation measures it without smoothing and class weights */
    cn_augment augment; /* of training images only; drawn from `seed` */
    cn_average average;
    cn_best best;
    const cn_dataset *valid;
    /* Called after each step and each epoch; returns true to stop: cn_fit then returns
     * CN_ERR_STOPPED with the model as the last step left it or, where those are asked for, with
     * its average or the best epoch so far. */
    bool (*progress)(const cn_progress *progress, void *user);
    void *user;

    /* Each batch is cut into so many shards of equal size, which are trained on one by one, each
     * with statistics of batch norms of its own; gradients and statistics are then combined in an
     * order that depends on the shards alone. The number of shards, which divides `batch`, is
     * part of the result; how many ranks share them out is not. Default 1: no shards. */
    int shards;
    /* Batch norms take mean and variance over the whole batch, all shards together, and backward
     * goes through both; what a batch that is not cut has anyway. Every rank then holds the
     * activations of all its shards, and the ranks meet at every batch norm, twice per batch. Of
     * the backend "cpu". */
    bool sync_batch_norm;
    /* The ranks that share the shards out, as many or fewer; NULL: this process alone. All of them
     * call cn_fit alike, and all get the same model and the same progress; rank 0 alone writes
     * checkpoints. Where `progress` asks one rank to stop, all stop. An error of one is an error of
     * all, and says the rank. */
    const cn_communicator *communicator;

    cn_checkpoint_opts checkpoint;
    /* A checkpoint to resume from, with the same bits as never having stopped; NULL: none. The
     * model must have the same graph; its parameters are overwritten. Data and options must be the
     * same, except `threads`, `communicator`, `progress`, `user` and `checkpoint`: CN_ERR_ARGUMENT
     * names one that is not. `epochs` may be larger, even after the last one: the further epochs
     * are, bit for bit, those of a training that began with these `epochs` and the old
     * `schedule_epochs`. */
    const char *resume;
} cn_fit_opts;

/* Trains the model on the data, normalized as the model says. `last` (may be NULL) receives the
 * final cn_progress. The same seed gives the same bits, whatever the number of threads. A loss that
 * is not finite ends the training with CN_ERR_DIVERGED before it can damage the weights. */
CN_API cn_status cn_fit(cn_model *model, const cn_dataset *data, const cn_fit_opts *opts,
                        cn_progress *last, cn_error *err);

/*
 * Whitening (Jordan 2024): sets the filters of the convolution `layer` so that its outputs on the
 * data's patches are uncorrelated and of variance 1, a first layer that needs no training. Filter i
 * is the i-th principal direction of the patches divided by sqrt(its variance + epsilon), filter
 * f_H f_W n_C_prev + i its negative: the number of filters is at most twice that of a patch's
 * values. The patches are those of the first 5,000 images, normalized as the model says. The bias,
 * if there is one, becomes zero.
 */
CN_API cn_status cn_model_whiten(cn_model *model, const char *layer, const cn_dataset *data,
                                 double epsilon, cn_error *err);

/* The note of a checkpoint into text[0..size-1], ended by a NUL; "" where there is none. */
CN_API cn_status cn_checkpoint_note(const char *path, char *text, size_t size, cn_error *err);

typedef struct cn_metrics {
    int count;       /* images */
    int64_t judged;  /* what has a label: the images, or for segmentation the pixels with a class */
    int64_t correct; /* of these: the largest output is the label's (one output: on the right side
                        of 0.5) */
    double accuracy; /* correct / judged */
    double loss;     /* the mean over images of classes that the model has */
    /* Segmentation, else NaN. With t the pixels of a class that are found, p those that are taken
     * for it and g those that are of it: means over the classes with p + g > 0 of the intersection
     * over union t / (p + g - t), and of the Dice coefficient 2 t / (p + g). */
    double mean_iou, mean_dice;
    /* Several labels per image, else NaN: the means over the labels of cn_column_metrics. Each label
     * of each image is judged. */
    double mean_average_precision, mean_auc, mean_f1;
    /* Regression, else NaN: the means over the numbers, in the units of the data. Nothing is judged;
     * the accuracy is NaN. */
    double mean_squared_error, mean_absolute_error, mean_r_squared;
    double seconds;
} cn_metrics;

/*
 * What is found of one label of several, or of one number; NaN for what the other task has, and for
 * what is not defined: a mean over the labels leaves it out.
 *
 * A label's average precision is the sum over the thresholds, from the highest probability on down, of
 * (R[k] - R[k-1]) P[k] with recall R and precision P; not defined without an image that has it. The
 * AUC, the area under the ROC curve, is the part of all pairs of an image with and one without the
 * label in which the first has the higher probability, equals half; not defined where all images are alike.
 * F1 is 2 tp / (2 tp + fp + fn) at the model's threshold, 0 where that is 0 / 0.
 * R squared is 1 - sum of (y - t)^2 / sum of (t - mean of t)^2; not defined for a constant t.
 */
typedef struct cn_column_metrics {
    int positives; /* images that have the label */
    double threshold, precision, recall, f1;
    double average_precision, auc;
    double mean_squared_error, mean_absolute_error, r_squared;
} cn_column_metrics;

/* Test-time augmentation: the logits averaged over several views of an image. */
typedef enum cn_tta {
    CN_TTA_NONE = 0,
    CN_TTA_MIRROR = 1, /* the image and its mirror image, half each */
    CN_TTA_SHIFT = 2,  /* both with weight 1/2, and with 1/4 each the image shifted by a pixel down
                          and right, and up and left, the border mirrored, and its mirror image */
} cn_tta;

typedef struct cn_evaluate_opts {
    int threads; /* as in cn_session_opts */
    int batch;   /* default 64 */
    cn_tta tta;
    cn_precision precision;
    cn_loss_kind loss;   /* default: the one that cn_fit trained the model with, which its file
                            stores, else CN_LOSS_DEFAULT */
    const char *backend; /* as in cn_session_opts */
    /* Ranks that share the batches out: all of them call it alike, and all get the same result, bit
     * for bit that of one process. NULL: this process alone. */
    const cn_communicator *communicator;
} cn_evaluate_opts;

/* `confusion` (classes x classes of the set, row = label, column = prediction) counts images or, for
 * segmentation, pixels, and may be NULL; with targets nothing is counted. Class i
 * of the set is output i of the model: cn_dataset_match_classes goes by names. The loss is the one
 * that the model was trained with, without smoothing and class weights. Outputs that are NaN or
 * infinite are CN_ERR_DIVERGED, as with cn_session_predict. `opts` may be NULL. */
CN_API cn_status cn_evaluate(const cn_model *model, const cn_dataset *data,
                             const cn_evaluate_opts *opts, cn_metrics *metrics, int64_t *confusion,
                             cn_error *err);

/* cn_evaluate for several labels per image and for regression: `columns` (the set's classes, in their order) has what
 * is found of each. CN_ERR_ARGUMENT for other tasks. */
CN_API cn_status cn_evaluate_columns(const cn_model *model, const cn_dataset *data,
                                     const cn_evaluate_opts *opts, cn_metrics *metrics,
                                     cn_column_metrics *columns, cn_error *err);
/* Sets for each label the threshold with the best F1 on the data, half way between two
 * probabilities; 0.5 for a label that all images have, or none. For data that the model was not
 * trained on. `opts` may be NULL. */
CN_API cn_status cn_model_choose_thresholds(cn_model *model, const cn_dataset *data,
                                            const cn_evaluate_opts *opts, cn_error *err);

/* ---- 9. Files --------------------------------------------------------------------------- */

/*
 * A model is one .safetensors file: the weights, and in __metadata__ the graph, the class names
 * and the normalization. Saving is atomic: a reader sees the old file or the new one. A name that ends
 * like another format's (.onnx, .npz, .h5, .keras) is CN_ERR_ARGUMENT: see cn_model_export.
 */
CN_API cn_status cn_model_save(const cn_model *model, const char *path, cn_error *err);
CN_API cn_status cn_model_load(cn_model **model, const char *path, cn_error *err);

/*
 * The same for an ONNX file, which may leave sizes of its inputs open: CN_ERR_SHAPE from
 * cn_model_load, and here where one is still open. What is given must be what the file fixes, and sizes
 * that the file gives one name are one size. CN_ERR_ARGUMENT otherwise, and for other files.
 */
typedef struct cn_input_size {
    const char *name; /* of the input; NULL: of the only one, or of all but vectors */
    int shape[3];     /* (n_H, n_W, n_C), of a vector (1, 1, n); 0: as the file says */
} cn_input_size;
CN_API cn_status cn_model_load_sized(cn_model **model, const char *path, const cn_input_size *sizes,
                                     int count, cn_error *err);

/*
 * Weights of others, for a network that is built here: what PyTorch (.safetensors) or Keras
 * (.weights.h5, .keras, .h5) writes of the same network, or NumPy (.npz) of either. Their layers are matched with the model's, those of one kind in order, and the layouts
 * are converted; docs/files.md tells how. CN_ERR_SHAPE where something is missing, more, or of
 * another shape, and the model is then as it was.
 */
typedef struct cn_weight_match {
    const char *name;    /* the model's parameter; NULL: it has none for this tensor */
    const char *found;   /* the file's tensor; NULL: it has none for this parameter */
    const char *problem; /* NULL, or "missing", "extra", "shape (64, 3, 7, 7), expected ..." */
} cn_weight_match;

typedef struct cn_load_weights_opts {
    bool partial; /* take what fits; at least one tensor */
    void (*match)(const cn_weight_match *match, void *user); /* called for each; may be NULL */
    void *user;
} cn_load_weights_opts;
/* `opts` may be NULL. */
CN_API cn_status cn_model_load_weights(cn_model *model, const char *path,
                                       const cn_load_weights_opts *opts, cn_error *err);

/*
 * Writes a model for other programs, in the format that the name's ending says:
 *
 *   .safetensors  what cn_model_save writes or, with `like`, the weights alone, for PyTorch
 *   .npz          the parameters as NumPy's arrays, and the graph as bytes; cn_model_load reads it
 *                 where the name ends so. With `like` the weights alone
 *   .keras        the network and its weights as a model of Keras 3
 *   .h5           the weights for Keras: .weights.h5 as those of the .keras file; with `like`, as a
 *                 copy of that file with other numbers in it
 *   .onnx         the graph and its parameters as ONNX 1.22 (operator set 27), images as (batch,
 *                 n_C, n_H, n_W) with any batch; class names and normalization in its metadata, as
 *                 JSON. The input is what cn_session_forward takes, and the output what it gives.
 *
 * docs/files.md has the details. Atomic. CN_ERR_UNSUPPORTED for another ending, and for layers that
 * the format cannot express.
 */
typedef struct cn_export_opts {
    bool normalize;   /* .onnx: the graph takes values in the range that the model learned from
                       (pixels: from 0 to 1) and normalizes them itself */
    const char *like; /* not for .onnx: a file of weights of the same network, as PyTorch or
                         Keras writes it, whose names and layout the new one gets */
} cn_export_opts;
/* `opts` may be NULL. */
CN_API cn_status cn_model_export(const cn_model *model, const char *path,
                                 const cn_export_opts *opts, cn_error *err);

/* ---- 10. Tools -------------------------------------------------------------------------- */

/* One layer of a model, for tables; strings belong to the model. */
typedef struct cn_layer_info {
    const char *name;
    const char *type;    /* "conv2d" */
    const char *options; /* "6 5x5 same" */
    int input_count;     /* the layers that it reads, all before it */
    const cn_node *inputs;
    int rank; /* of one example's output */
    int shape[CN_MAX_RANK];
    size_t parameters;    /* trained ones */
    size_t buffers;       /* not trained */
    size_t multiply_adds; /* forward, one example */
} cn_layer_info;
/* `i` counts from 0, the input; false past the end. */
CN_API bool cn_model_layer(const cn_model *model, int i, cn_layer_info *out);
/* An option of layer i by its name in the text form: "kernel", "stride", "pad", "no_bias". Its 1, 2
 * or 4 numbers, defaults filled in, into value; of a word its number, of a switch 0 or 1. Returns
 * how many; 0 where there is no such layer or option. */
CN_API int cn_model_layer_option(const cn_model *model, int i, const char *name, double value[4]);

/* The bytes that a session with these options takes, without creating one. */
typedef struct cn_memory {
    size_t parameters, gradients, optimizer, activations, workspace, total;
} cn_memory;
CN_API cn_status cn_session_memory(const cn_model *model, const cn_session_opts *opts,
                                   cn_memory *out, cn_error *err);

/* A model's gradients against central differences of the loss in double precision. One row per
 * parameter tensor, and one for the input (`name` "input"). */
typedef struct cn_gradcheck_row {
    const char *name;
    size_t checked;      /* elements compared; large tensors are sampled */
    double twin_error;   /* double-precision twin against differences, relative */
    double engine_error; /* float32 engine against the twin, relative */
} cn_gradcheck_row;

typedef struct cn_gradcheck_opts {
    int batch;   /* examples; default 2 */
    int samples; /* elements per tensor; default 64 */
    uint64_t seed;
    cn_loss_kind loss;
    void (*row)(const cn_gradcheck_row *row, void *user);
    void *user;
} cn_gradcheck_opts;
/* `worst` (may be NULL) receives the largest twin and engine errors. */
CN_API cn_status cn_gradcheck(cn_model *model, const cn_gradcheck_opts *opts,
                              cn_gradcheck_row *worst, cn_error *err);

/* Reads a PNG, JPEG, WebP, TIFF, GIF, BMP, PNM (P1 to P6) or PAM (P7) image as U8 (n_H, n_W, n_C),
 * recognized by its first bytes and oriented as its Exif data say, as a viewer shows it. n_C is 1 (gray), 2 (gray and
 * alpha), 3 (color), 4 (color and alpha), or up to 1,024 in an image of other channels. PNG, JPEG,
 * WebP, TIFF and GIF are read where the library was built with them. */
CN_API cn_status cn_image_load(cn_tensor *image, const char *path, cn_error *err);
/* Writes U8 (n_H, n_W, 1 or 3) as the name's ending says: .png, where the library was built with
 * libpng, .pnm, .pgm or .ppm. A reader sees the old file or the new one. */
CN_API cn_status cn_image_save(const cn_tensor *image, const char *path, cn_error *err);
/*
 * An image (n_H, n_W, n_C) brought to a model's shape, as the options say (NULL: cropped, over
 * white): alpha is composed over the background, the part around the center that has the shape's
 * proportions is resized (area or bilinear) to its n_H x n_W and converted to its channels (gray
 * from color by ITU-R BT.601 luma; 2 and 4 channels keep alpha; 5 and more, up to 1,024, stay as
 * many): (1, n_H, n_W, n_C). U8 stays U8 unless the options say deep; F32 of [0, 1] stays F32.
 */
CN_API cn_status cn_image_fit(const cn_tensor *image, const int shape[3], const cn_image_opts *opts,
                              cn_tensor *out, cn_error *err);
/* The same with the model's shape and options, then scaled to the model's range of values and
 * normalized: X (1, n_H, n_W, n_C) F32 for cn_session_forward and cn_session_predict, the very bits
 * that training and cn_evaluate see. */
CN_API cn_status cn_image_prepare(const cn_model *model, const cn_tensor *image, cn_tensor *X,
                                  cn_error *err);
/* cn_image_prepare for an image file, read with the bit depth that the model's options say. */
CN_API cn_status cn_image_load_for(const cn_model *model, const char *path, cn_tensor *X,
                                   cn_error *err);

/*
 * The class of each pixel of an image of any size, as a model for segmentation sees it: a mask
 * (n_H, n_W) U8 of the image's own size, for which the model's outputs are interpolated
 * (bilinear). CN_MASK_IGNORED where the model's image options crop the image and leave a pixel out.
 */
CN_API cn_status cn_session_segment(cn_session *session, const cn_tensor *image, cn_tensor *mask,
                                    cn_error *err);
/* Reads a mask as U8 (n_H, n_W): the values as they are stored, or the indices of a palette. */
CN_API cn_status cn_mask_load(cn_tensor *mask, const char *path, cn_error *err);
/* Writes a mask as the name's ending says: .png with a palette, which has a color for each class as
 * PASCAL VOC has them, or .pgm. */
CN_API cn_status cn_mask_save(const cn_tensor *mask, const char *path, cn_error *err);
/* The image (n_H, n_W, n_C) in color, each pixel mixed with the color of its class in the mask but
 * for class 0 and ignored pixels: U8 (n_H, n_W, 3). */
CN_API cn_status cn_mask_overlay(const cn_tensor *image, const cn_tensor *mask, cn_tensor *overlay,
                                 cn_error *err);

/* "avx512", "avx2" or "scalar": the instruction set in use, or the one that CONVNET_ISA asks for
 * and this processor has. */
CN_API const char *cn_isa(void);

/* The threads that cn_session_opts.threads = `wanted` means here; 0 asks for the default. */
CN_API cn_status cn_thread_count(int wanted, int *threads, cn_error *err);

#ifdef __cplusplus
}
#endif

#endif
