"""The eight functions by recursion, index arrays and one matrix product: right, and unlike the course's."""
import numpy as np


def zero_pad(X, pad):
    if pad == 0:
        return X
    m, h, w, c = X.shape
    side, lid = np.zeros((m, h, 1, c)), np.zeros((m, 1, w + 2, c))
    return zero_pad(np.concatenate([lid, np.concatenate([side, X, side], 2), lid], 1), pad - 1)


def conv_single_step(a_slice_prev, W, b):
    if np.ndim(a_slice_prev) == 0:
        return float(a_slice_prev) * float(W) + float(np.squeeze(b))
    return sum(conv_single_step(a, w, 0) for a, w in zip(a_slice_prev, W)) + float(np.squeeze(b))


def places(n_prev, f, stride):
    """Row numbers (n, f): window p covers places[p]."""
    starts = np.array([p for p in range(0, n_prev - f + 1, stride)], int)
    return starts[:, None] + np.arange(f)


def columns(A, f, stride):
    """im2col: (m n_H n_W, f f n_C), and n_H, n_W."""
    rows, cols = places(A.shape[1], f, stride), places(A.shape[2], f, stride)
    cut = A[:, rows][:, :, :, cols].transpose(0, 1, 3, 2, 4, 5)
    return cut.reshape(cut.shape[0] * len(rows) * len(cols), -1), len(rows), len(cols)


def conv_forward(A_prev, W, b, hparameters):
    f, n_C = W.shape[0], W.shape[3]
    M, n_H, n_W = columns(zero_pad(A_prev, hparameters["pad"]), f, hparameters["stride"])
    Z = np.hstack([M, np.ones((len(M), 1))]) @ np.vstack([W.reshape(-1, n_C), b.reshape(1, n_C)])
    return Z.reshape(len(A_prev), n_H, n_W, n_C), (A_prev, W, b, hparameters)


def largest(values):
    half = len(values) // 2
    if half == 0:
        return values[0]
    left, right = largest(values[:half]), largest(values[half:])
    return np.where(left > right, left, right)


def pool_forward(A_prev, hparameters, mode="max"):
    f, stride = hparameters["f"], hparameters["stride"]
    M, n_H, n_W = columns(A_prev, f, stride)
    M = M.reshape(len(M), f * f, -1).transpose(1, 0, 2)
    A = largest(M) if mode == "max" else sum(M) / len(M)
    return A.reshape(len(A_prev), n_H, n_W, -1), (A_prev, hparameters)


def scatter(parts, shape, f, stride):
    """The transpose of columns: adds (m, n_H, n_W, f, f, n_C) to an image where windows overlap."""
    out = np.zeros(shape)
    m, n_H, n_W = parts.shape[:3]
    i, h, w, u, v = np.ogrid[:m, :n_H, :n_W, :f, :f]
    np.add.at(out, (i, h * stride + u, w * stride + v), parts)
    return out


def conv_backward(dZ, cache):
    A_prev, W, b, hp = cache
    f, p, n_C = W.shape[0], hp["pad"], W.shape[3]
    padded = zero_pad(A_prev, p)
    M, n_H, n_W = columns(padded, f, hp["stride"])
    flat = dZ.reshape(-1, n_C)
    parts = (flat @ W.reshape(-1, n_C).T).reshape(len(A_prev), n_H, n_W, f, f, -1)
    dA = scatter(parts, padded.shape, f, hp["stride"])
    cut = [slice(p, n - p) for n in dA.shape[1:3]]
    return dA[:, cut[0], cut[1]], (M.T @ flat).reshape(W.shape), flat.sum(0).reshape(b.shape)


def create_mask_from_window(x):
    order = np.argsort(x, axis=None)
    return x >= x.flat[order[-1]]


def distribute_value(dz, shape):
    return np.outer(np.full(shape[0], dz / shape[0]), np.full(shape[1], 1 / shape[1]))


def pool_backward(dA, cache, mode="max"):
    A_prev, hp = cache
    f, stride = hp["f"], hp["stride"]
    M, n_H, n_W = columns(A_prev, f, stride)
    M = M.reshape(len(A_prev), n_H, n_W, f, f, -1)
    share = (M == M.max((3, 4), keepdims=True)) if mode == "max" else np.full(M.shape, 1.0 / f / f)
    return scatter(share * dA[:, :, :, None, None], A_prev.shape, f, stride)
