"""The eight functions as somebody else would write them: right, too."""
import itertools

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def windows(A, f, s):
    return sliding_window_view(A, (f, f), axis=(1, 2))[:, ::s, ::s]


def zero_pad(X, pad):
    m, h, w, c = X.shape
    out = np.zeros((m, h + pad + pad, w + pad + pad, c), X.dtype)
    out[:, pad : pad + h, pad : pad + w] = X
    return out


def conv_single_step(a_slice_prev, W, b):
    return (a_slice_prev.ravel() @ W.ravel()) + b


def conv_forward(A_prev, W, b, hparameters):
    A = windows(zero_pad(A_prev, hparameters["pad"]), W.shape[0], hparameters["stride"])
    return np.einsum("nhwkuv,uvkc->nhwc", A, W) + b, (A_prev, W, b, hparameters)


def pool_forward(A_prev, hparameters, mode="max"):
    A = windows(A_prev, hparameters["f"], hparameters["stride"])
    return (A.max if mode == "max" else A.mean)((4, 5)), (A_prev, hparameters)


def conv_backward(dZ, cache):
    A_prev, W, b, hp = cache
    s, p, f = hp["stride"], hp["pad"], W.shape[0]
    padded = zero_pad(A_prev, p)
    grown = np.zeros_like(padded)
    dW = np.zeros_like(W)
    for u, v in itertools.product(range(f), repeat=2):
        rows = slice(u, u + s * dZ.shape[1], s)
        columns = slice(v, v + s * dZ.shape[2], s)
        grown[:, rows, columns] += dZ @ W[u, v].T
        dW[u, v] = np.tensordot(padded[:, rows, columns], dZ, ([0, 1, 2], [0, 1, 2]))
    n_H, n_W = A_prev.shape[1:3]
    return grown[:, p : p + n_H, p : p + n_W], dW, dZ.sum((0, 1, 2), keepdims=True)


def create_mask_from_window(x):
    return ~(x < x.max())


def distribute_value(dz, shape):
    return np.broadcast_to(dz / np.prod(shape), shape)


def pool_backward(dA, cache, mode="max"):
    A_prev, hp = cache
    out = np.zeros_like(A_prev)
    for n, h, w, c in np.ndindex(dA.shape):
        at = (n, slice(h * hp["stride"], h * hp["stride"] + hp["f"]),
              slice(w * hp["stride"], w * hp["stride"] + hp["f"]), c)
        if mode == "max":
            out[at][create_mask_from_window(A_prev[at])] += dA[n, h, w, c]
        else:
            out[at] += dA[n, h, w, c] / hp["f"] ** 2
    return out
