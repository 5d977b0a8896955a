/*
 * conv.h - a convolution is planned once, and then run for every batch.
 *
 * A plan holds, for each of the three passes, the method that computes it, that method's blocking,
 * and the memory it needs. cn_conv_plan_make tries the methods of an instruction set
 * (methods_template.h), best first; no later call selects a method or a blocking. A call may have
 * fewer examples than were planned for: then there are fewer blocks of the same kind.
 */
#ifndef CN_CONV_H
#define CN_CONV_H

#include "base/activation.h"
#include "base/geometry.h"
#include "base/threads.h"

typedef enum cn_conv_direction {
    CN_CONV_FORWARD,
    CN_CONV_BACKWARD_DATA,
    CN_CONV_BACKWARD_WEIGHTS,
    CN_CONV_DIRECTIONS
} cn_conv_direction;

typedef struct cn_conv_options {
    int threads;        /* that will run the plan; 0 stands for 1 */
    bool no_winograd;   /* forbids Winograd's method, which rounds differently */
    bool bf16;          /* rounds the operands of direct sums to bf16, where that pays */
    const char *method; /* tries only this method and plain loops; NULL: all */
} cn_conv_options;

/* ---- methods */

typedef struct cn_conv_method cn_conv_method;

/* How the input is divided into work blocks that stay in a cache. */
typedef struct cn_conv_blocking {
    int rows;          /* output rows of a band */
    int images;        /* the most whole images of a block; 1 where a band is a part of an image */
    int pixels;        /* the most output pixels of a row in a block */
    bool batch_tiling; /* a register tile takes one pixel of several images, not several of a row */
} cn_conv_blocking;

enum { CN_CONV_MAX_PHASES = 16 };

/* A planned pass. A method's `plan` reads the other members and fills in those marked `plan`. */
typedef struct cn_conv_pass {
    cn_conv_direction direction;
    cn_conv_problem problem; /* with the m that was planned for */
    cn_conv_options options;
    const cn_conv_method *const *methods; /* the table */
    const cn_conv_method *method;
    size_t packed, scratch; /* `plan`: floats; packed: in forward alone */
    int tile[2];            /* `plan`: rows and vectors of a register tile; 0: none */
    bool pairs;             /* `plan`: products of bf16 */
    union {                 /* `plan` */
        struct {
            cn_conv_blocking blocking;
            int fold; /* pixels of a row that are computed as channels of one */
        } direct;
        struct {
            cn_conv_blocking blocking[CN_CONV_MAX_PHASES];
        } phases;
        struct {
            cn_conv_blocking blocking;
            int fold;
            bool copies_dy, copies_x;
            int chunk;                        /* tiles of rows of dw worked on at a time */
            size_t band, tile, panel, worker; /* floats of a thread's scratch memory */
        } weights;
        struct {
            int side, tiles; /* outputs per side of a tile; the most tiles of a block */
        } winograd;
        struct {
            int phases_h, phases_w;
            size_t x, y, w; /* floats of a thread's slices of x and y, and of a group's weights */
        } slices;
    } as;
} cn_conv_pass;

/* The arrays of a call. Of x, dy and w a pass reads the two that it is computed from. */
typedef struct cn_conv_args {
    int m;                    /* examples; at most as many as were planned for */
    const float *x;           /* forward, backward weights */
    const float *w;           /* forward: packed; backward data: as it is */
    const float *b;           /* forward: may be NULL */
    const float *dy;          /* backward */
    bool add;                 /* forward adds to y; without dilation and groups alone */
    cn_activation activation; /* forward: of y, NONE or CLIP */
    float *y;                 /* overwritten, or with `add` added to */
    float *dx;                /* overwritten */
    float *dw, *db;           /* accumulated; db may be NULL */
    float *scratch;
    cn_pool *pool; /* of at most as many threads as were planned for */
} cn_conv_args;

/* A way to compute some passes of some problems. */
struct cn_conv_method {
    const char *name;
    /* Can it compute this pass, and does that pay? */
    bool (*supports)(const cn_conv_pass *pass);
    void (*plan)(cn_conv_pass *pass);
    void (*pack)(const cn_conv_pass *pass, const float *w, float *packed, cn_pool *pool);
    void (*run[CN_CONV_DIRECTIONS])(const cn_conv_pass *pass, const cn_conv_args *args);
};

/* ---- plans */

/* [1] is used where a method reduces its problem to another convolution: that one's pass. */
typedef struct cn_conv_plan {
    cn_conv_pass passes[CN_CONV_DIRECTIONS][2];
    size_t packed, scratch; /* floats: packed weights; scratch memory that suffices for any pass */
} cn_conv_plan;

/* `methods` ends in one that supports every problem, and NULL. Cannot fail. */
void cn_conv_plan_make(cn_conv_plan *plan, const cn_conv_method *const *methods,
                       const cn_conv_problem *problem, cn_conv_options options);

/* Plans pass[1] for this problem: called by a method that reduces its problem to another. */
void cn_conv_plan_inner(cn_conv_pass *pass, const cn_conv_problem *problem, int threads);

/* Writes the method of a pass into text: "winograd 4x4", "groups: direct 6x2". */
enum { CN_CONV_TEXT = 96 };
void cn_conv_plan_describe(const cn_conv_plan *plan, cn_conv_direction direction,
                           char text[CN_CONV_TEXT]);

/* Packs the weights as forward reads them. */
void cn_conv_pack(const cn_conv_plan *plan, const float *w, float *packed, cn_pool *pool);

/*
 * Runs one pass. x and dy must be readable one vector past their ends. An infinity or a NaN of x
 * may make its neighbors in a row of y NaN, too (see folding in packing_template.h), and with
 * dilation any element of dw, even where no window covers it.
 */
void cn_conv_run(const cn_conv_plan *plan, cn_conv_direction direction, const cn_conv_args *args);

/* ---- the table of an instruction set */

typedef struct cn_conv_kernels {
    const cn_conv_method *const *methods; /* for cn_conv_plan_make */
    /* Over rows of `columns`: y += b in every row, unless b is NULL, then the activation, which is
     * NONE or CLIP. And db += the sum of all rows of dy, which must be readable one vector past
     * their end. */
    void (*bias)(size_t rows, int columns, const float *b, cn_activation activation, float *y);
    void (*bias_backward)(size_t rows, int columns, const float *dy, float *db);
} cn_conv_kernels;

/* ---- the last method: plain loops, in any instruction set (conv_plain.c) */

extern const cn_conv_method cn_conv_plain;

#endif
