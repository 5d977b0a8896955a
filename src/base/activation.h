/*
 * activation.h - an element-wise function: a layer's own, or the one fused into the layer before.
 */
#ifndef CN_ACTIVATION_H
#define CN_ACTIVATION_H

/* The kinds that have a name in the source. The others are rows of the kernels' table of
 * element-wise functions, found by the name of their layer. */
enum {
    CN_ACTIVATION_NONE, /* y = x */
    CN_ACTIVATION_CLIP, /* y = min(max(x, lower), upper), NaN stays NaN: ReLU is 0 to INFINITY,
                           ReLU6 0 to 6. The one kind that other kernels fuse. */
};

typedef struct cn_activation {
    int kind;
    float lower, upper; /* CLIP */
    float parameter;    /* of the other kinds, such as a slope */
} cn_activation;

#endif
