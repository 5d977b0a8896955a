/*
 * layer.h - what a layer is: a node of a model's graph, and the descriptor of its type.
 *
 * A type of layer is one file of this folder, which ends in two descriptors. A `cn_layer_type` says
 * what the layer is: its options (from which the text form, the JSON form, the summary and the
 * validation come), its shapes, and the traits that the planner goes by. A `cn_layer_ops` says how
 * the CPU computes it, forward and backward; other backends have tables of their own. One row of
 * CN_LAYER_MAP registers both. (The element-wise layers share a file and have a table of their own:
 * activation.c.)
 */
#ifndef CN_LAYER_H
#define CN_LAYER_H

#include "base/geometry.h"
#include "kernels/kernels.h"

/* ---- shapes */

/* An activation's shape without its leading m, (n_H, n_W, n_C) or (n); or a parameter's. */
typedef struct cn_shape {
    int rank;
    int n[CN_MAX_RANK];
} cn_shape;

size_t cn_shape_count(const cn_shape *shape);

/* ---- options */

typedef enum cn_option_kind {
    CN_OPTION_INT,   /* int */
    CN_OPTION_PAIR,  /* int[2]: vertical, horizontal; a zero second means "as the first" */
    CN_OPTION_PADS,  /* int[4]: above, left, below, right */
    CN_OPTION_ENUM,  /* an enum counted from 0 */
    CN_OPTION_BOOL,  /* bool */
    CN_OPTION_FLOAT, /* double, above `least` and below `below` */
} cn_option_kind;

/* One member of a public options struct, such as cn_conv2d_opts. */
typedef struct cn_option {
    const char *name; /* JSON key, and the word before its value in the text form */
    cn_option_kind kind;
    bool bare;                /* the text form omits the name: "6 5x5" */
    size_t offset;            /* in the options struct */
    double least;             /* smallest allowed value, once the default has been filled in;
                                 FLOAT: the value is larger */
    double below;             /* FLOAT: and smaller than this; 0: no limit */
    double fallback;          /* INT, PAIR, FLOAT: what a zero stands for */
    bool zero;                /* PAIR: zeros are values like others */
    const char *const *words; /* ENUM: one word per value, then NULL; the text form is that word */
    const char *alias;        /* an older name, which texts and JSON may still have; or NULL */
} cn_option;

extern const char *const cn_padding_words[], *const cn_init_words[];

/* ---- one layer of a model */

enum { CN_MAX_INPUTS = 8, CN_MAX_PARAMETERS = 4, CN_NAME_SIZE = 64 };

typedef struct cn_layer_type cn_layer_type;

/* A parameter of a layer: trained, or a buffer, which the layer's forward updates in training. */
typedef struct cn_layer_parameter {
    const char *role; /* "weight": the last part of its name */
    cn_shape shape;
    bool buffer;
    size_t offset; /* floats from the start of the model's parameter block, and of the gradients */
    cn_init init;
    double fan_in, fan_out; /* 0: every element begins as `start` */
    float start;
    /* Set once the model is finished, and by cn_model_freeze and its kin. */
    bool frozen;
    double rate, decay; /* factors of the learning rate and of the weight decay */
} cn_layer_parameter;

typedef struct cn_layer {
    const cn_layer_type *type;
    char name[CN_NAME_SIZE];
    void *options; /* a copy of the public options struct, defaults filled in; NULL without any */
    char *text;    /* the options in the text form: "6 5x5 same" */
    int input_count;
    cn_node inputs[CN_MAX_INPUTS];     /* each below this layer's own index */
    cn_shape in, out;                  /* of the first input's example, and of the output's */
    cn_shape inputs_of[CN_MAX_INPUTS]; /* of every input's; [0] is `in` */
    cn_window window;                  /* convolution and pooling */
    cn_activation activation;          /* of a function of one element: which */
    int groups; /* convolution: parts of the channels that see only each other */
    int parameter_count;
    cn_layer_parameter parameters[CN_MAX_PARAMETERS];
} cn_layer;

/* ---- running */

/* What a layer needs for a batch of m: memory, in elements of the backend's dtype. */
typedef struct cn_requirements {
    size_t packed;     /* weights as the kernels read them: valid until the weights change */
    size_t cache;      /* what forward stores for the backward that follows it */
    size_t scratch;    /* shared by all layers: undefined after the call */
    cn_conv_plan conv; /* of a layer that convolves on the CPU: how it does so from now on */
} cn_requirements;

/*
 * What several calls that share a batch have found together (model/team.c), for a layer that takes
 * statistics over all of it: 1 + 2 n_C numbers per pass, as `sums` below has them.
 */
typedef struct cn_totals {
    const double *forward, *backward;
    bool moves; /* forward also moves the buffers: one of the calls that do so for all */
} cn_totals;

/*
 * What one call of a layer works on. A session fills it once, so that running a layer is one
 * indirect call. Activations are (m, ...); every array may be read 64 bytes past its end. Arrays
 * are the backend's, of its dtype: floats on the CPU.
 */
typedef struct cn_call {
    const cn_layer *layer;
    const cn_kernels *kernels; /* the CPU's, as is the pool */
    cn_pool *pool;
    int m, batch;     /* examples in this call, and the most in any */
    bool no_winograd; /* this and the next as in cn_session_opts */
    cn_precision precision;
    bool training; /* the session trains: a backward may follow */
    bool add;      /* forward adds to what is in y; only where the type's `adds` says so */
    /* Of the ReLU or ReLU6 that follows, where it is fused into this layer: applied by forward; in
     * backward, where the type masks_relu, dy is the gradient of its output. */
    cn_activation activation;
    uint64_t seed, step;          /* of random numbers: the session's, and its forwards so far */
    int index;                    /* of the layer in the model: the third part of a random number */
    const void *x[CN_MAX_INPUTS]; /* inputs */
    void *y;                      /* output; where the type says in_place, may be x[0] */
    const void *dy;
    void *dx[CN_MAX_INPUTS];     /* overwritten, NULL where it is not needed; in_place: may be dy */
    void *w[CN_MAX_PARAMETERS];  /* read; buffers: updated by a forward in training */
    void *dw[CN_MAX_PARAMETERS]; /* accumulated; NULL for buffers, and all of them where every
                                    weight is frozen */
    const cn_conv_plan *conv;    /* as `requirements` planned it */
    const cn_totals *totals;     /* NULL: the statistics are those of this call */
    void *packed;
    void *cache;
    void *scratch;
} cn_call;

/* Which activations backward reads, and thus keeps alive. */
enum { CN_READS_X = 1, CN_READS_Y = 2 };

struct cn_layer_type {
    const char *name;         /* "conv2d": in JSON, the summary, default names, the text form */
    const char *word;         /* "conv": its short name in the text form, or NULL */
    const cn_option *options; /* ends in a name NULL; NULL without any */
    size_t options_size;
    int most_inputs; /* a layer of several inputs takes 2 to this many; 0: exactly one */
    unsigned backward_reads;
    cn_activation activation; /* of a function of one element, where CLIP: its bounds */
    bool in_place; /* y may overwrite x (the first), and dx dy: element i depends on element i alone
                      (or, for a softmax, on its row) */
    bool view;     /* y is x, with another shape: nothing runs */
    bool training_only; /* a view where the session does not train */

    /* Traits that the planner reads. */
    bool fuses_relu;     /* forward applies cn_call.activation, a ReLU or a ReLU6 */
    bool masks_relu;     /* backward applies its derivative, too */
    bool maximum;        /* y is a maximum over elements of x: a ReLU before it or after it gives
                            the same */
    bool channel_affine; /* where the session does not train, y is a scale and a shift of each
                            channel, and cn_layer_ops.fold makes both part of the layer before */
    bool folds_norm;     /* the last axis of its first weight is y's, its second weight is a bias,
                            and forward reads w[0] nowhere but in pack: a channel_affine layer after
                            it can become part of both */
    bool sum;            /* y is the sum of the inputs, so that every input's gradient is dy:
                            backward copies it into each dx that is another array */
    cn_loss_kind loss;   /* the loss that is computed from its input, the logits, where a model ends
                            in it; CN_LOSS_DEFAULT: none */
    /* Of a normalization: how many values each mean is taken over, in a training batch of m. NULL:
     * not a normalization. */
    size_t (*averaged)(const cn_layer *layer, int m);

    /* From layer->in and the options: out, window, weights. `context` opens every error text. NULL:
     * the output has the input's shape. */
    cn_status (*infer)(cn_layer *layer, const char *context, cn_error *err);
    /* Does forward support cn_call.add? NULL: no. */
    bool (*adds)(const cn_layer *layer);
    /* Of the forward pass of one example; NULL: none worth counting. */
    size_t (*multiply_adds)(const cn_layer *layer);
};

/* The parts of a layer's work: backward is two of them, where it has weights. */
typedef enum cn_pass { CN_FORWARD, CN_BACKWARD_DATA, CN_BACKWARD_WEIGHTS } cn_pass;

enum { CN_METHOD_TEXT = 96 };

/* How one backend computes a type of layer. */
typedef struct cn_layer_ops {
    /* NULL: none. In the call, layer, kernels, batch and options are set, and m is the batch: the
     * requirements must also suffice for fewer examples. */
    void (*requirements)(const cn_call *call, int threads, cn_requirements *requirements);
    /* Fills call->packed from call->w; NULL where requirements asks for none. */
    void (*pack)(const cn_call *call);
    bool backward_reads_packed; /* rather than forward */
    void (*forward)(const cn_call *call);
    void (*backward)(const cn_call *call);
    /* For a type that takes statistics over the batch, with which calls that share one begin each
     * pass: this call's part of the sums, how many values a channel has and then two sums per
     * channel. In backward it also adds to dw, what backward then leaves out; `sums` may be NULL.
     * Once these are added up, call->totals has them, and forward or backward follows. */
    void (*sums)(const cn_call *call, bool backward, double *sums);
    /* For a type that is channel_affine: from its call, and the weights w (rows, n_C) and the bias
     * b (may be NULL) of the layer before it, computes the weights and the bias (n_C) of one layer
     * that does the work of both. */
    void (*fold)(const cn_call *call, size_t rows, const void *w, const void *b, void *folded_w,
                 void *folded_b);
    /* Writes the planned method of a pass into text: "winograd 4x4". NULL: there is only one. */
    void (*describe)(const cn_requirements *requirements, cn_pass pass, char text[CN_METHOD_TEXT]);
} cn_layer_ops;

/* ---- the table (layers.c) */

/* Every type that a model may hold beside its input and the element-wise layers: X(name) stands for
 * its descriptor, cn_NAME_type, and for how the CPU computes it, cn_NAME_cpu. */
#define CN_LAYER_MAP(X)      \
    X(conv2d)                \
    X(depthwise_conv2d)      \
    X(conv_transpose2d)      \
    X(max_pool)              \
    X(average_pool)          \
    X(dense)                 \
    X(flatten)               \
    X(softmax)               \
    X(batch_norm)            \
    X(add)                   \
    X(concat)                \
    X(adaptive_average_pool) \
    X(global_average_pool)   \
    X(zero_pad2d)            \
    X(crop2d)                \
    X(upsample2d)            \
    X(dropout)               \
    X(layer_norm)            \
    X(group_norm)            \
    X(reshape)               \
    X(transpose)             \
    X(slice)                 \
    X(affine)                \
    X(resize2d)              \
    X(pad2d)                 \
    X(log_softmax)           \
    X(local_response_norm)   \
    X(clip)                  \
    X(constant)              \
    X(plus)                  \
    X(multiply)              \
    X(subtract)              \
    X(divide)                \
    X(maximum)               \
    X(minimum)               \
    X(power)

#define CN_DECLARE_LAYER(name)                   \
    extern const cn_layer_type cn_##name##_type; \
    extern const cn_layer_ops cn_##name##_cpu;
CN_LAYER_MAP(CN_DECLARE_LAYER)
#undef CN_DECLARE_LAYER
extern const cn_layer_type cn_input_type; /* node 0 of every model */

/* The element-wise layers (activation.c), then NULL; those that other files name; and how the CPU
 * computes all of them. */
extern const cn_layer_type *const cn_activation_types[];
extern const cn_layer_type cn_relu_type, cn_sigmoid_type, cn_tanh_type;
extern const cn_layer_ops cn_activation_cpu;

/* Type i of all, or NULL past the last. */
const cn_layer_type *cn_layer_type_at(int i);
/* The type with this name or short name, or NULL. */
const cn_layer_type *cn_layer_type_find(const char *name);
/* How the CPU computes a type of the table, found by its name; NULL: nothing runs. */
const cn_layer_ops *cn_layer_cpu_ops(const cn_layer_type *type);

/* ---- what layer files share (layer.c) */

/* Does it have a weight that training updates: neither frozen nor a buffer? */
bool cn_layer_learns(const cn_layer *layer);

/* layer->window from these options; dilation may be NULL. Rank 3 input. */
cn_status cn_layer_window(cn_layer *layer, const int kernel[2], const int stride[2],
                          const int dilation[2], cn_padding padding, const int pads[4],
                          const char *context, cn_error *err);
/* CN_ERR_SHAPE unless `groups` divides both numbers of channels of a convolution. */
cn_status cn_check_groups(int groups, int channels, int filters, const char *context,
                          cn_error *err);
/* The geometry of a layer with a window, for m examples. That of a convolution follows its weight's
 * shape: for a transposed one x is Z, and y is A_prev. */
cn_conv_problem cn_layer_problem(const cn_layer *layer, int m);

/* What convolutions and dense layers share (conv2d.c): the plan and the memory it needs, the packed
 * weights, and the two passes. */
void cn_conv2d_requirements(const cn_call *call, int threads, cn_requirements *requirements);
void cn_conv2d_pack(const cn_call *call);
void cn_conv2d_forward(const cn_call *call);
void cn_conv2d_backward(const cn_call *call);
void cn_conv2d_describe(const cn_requirements *requirements, cn_pass pass,
                        char text[CN_METHOD_TEXT]);

/* Runs a kernel over n elements, with or without a parameter, in chunks of a fixed size over the
 * pool, so that the bits do not depend on the number of threads. */
typedef void cn_map(size_t n, const float *x, float *y);
typedef void cn_map_with(size_t n, float parameter, const float *x, float *y);
enum { CN_MAP_CHUNK = 16384 }; /* elements, 64 KB of each array: enough work for a task */
void cn_map_run(cn_pool *pool, cn_map *f, size_t n, const float *x, float *y);
void cn_map_with_run(cn_pool *pool, cn_map_with *f, float parameter, size_t n, const float *x,
                     float *y);

/* The gradient call->dy where call->y, the output of a ReLU, is positive, else 0 (activation.c). */
void cn_mask_relu(const cn_call *call, void *dy);

/* ---- the floor above, as layer files see it */

/*
 * Adds a layer (model/graph.c): what every public constructor calls. `options` (copied) is the
 * type's public options struct or NULL; `name` NULL picks "type_1" and so on. Remembers the first
 * error.
 */
cn_node cn_model_add(cn_model *model, const cn_layer_type *type, const void *options,
                     const char *name, const cn_node *inputs, int input_count);

#endif
