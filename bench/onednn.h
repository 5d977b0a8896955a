/*
 * onednn.h - convolutions by oneDNN, behind the few calls that measuring them takes.
 *
 * The library is what users of PyTorch and of many other frameworks run on a processor, so it is
 * the peer that the kernels are measured against. Releases 2 and 3 both do.
 */
#ifndef BENCH_ONEDNN_H
#define BENCH_ONEDNN_H

#include "kernels/kernels.h"

typedef enum direction { FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS, DIRECTIONS } direction;

typedef struct peer peer;
typedef struct peer_conv peer_conv;

/* NULL where oneDNN makes no engine; it then runs `threads` threads. */
peer *peer_open(int threads);
void peer_close(peer *p);
/* "3.13.1". */
const char *peer_version(peer *p);

/* Ways to run a convolution: a layout of the images and a method. NULL past the end. */
const char *peer_way(int way);
/*
 * The convolution of `s`, ready to run on memory of its own. Forward adds a bias and applies ReLU,
 * backward weights finds the bias's gradient, as ours do. The weights lie as oneDNN likes them:
 * what bringing them there takes is not measured. NULL where oneDNN has no such way.
 */
peer_conv *peer_conv_open(peer *p, const cn_conv_problem *s, direction d, int way);
void peer_conv_close(peer_conv *c);
void peer_conv_run(peer_conv *c);

#endif
