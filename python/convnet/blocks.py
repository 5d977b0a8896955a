"""The eight functions of "Convolutional Neural Networks: Step by Step", with its signatures.

Arrays of float64 are computed by textbook loops in double precision, arrays of float32 by the
engine's kernels. Whatever else comes in (integers, lists) becomes float64; all arrays of a call
have the type of the first. An array of another layout is copied, which is said once (CopyWarning).
"""
from __future__ import annotations

import ctypes
import functools
from ctypes import c_double, c_void_p
from typing import Any, Dict, List, Tuple

import numpy as np

from . import _interface as c
from ._arrays import F32, F64, ROWS, TENSOR, Array, byte_of, pack, pack_row, prepare
from ._library import ArgumentError, ShapeError, exception, library

HParameters = Dict[str, int]
ConvCache = Tuple[Array, Array, Array, HParameters]
PoolCache = Tuple[Array, HParameters]

__all__ = [
    "zero_pad", "conv_single_step", "conv_forward", "pool_forward", "conv_backward",
    "create_mask_from_window", "distribute_value", "pool_backward",
]  # fmt: skip

_MODES = {"max": c.CN_POOL_MAX, "average": c.CN_POOL_AVERAGE}


def _fast(name: str, arguments: List[Any]) -> Any:
    """The function again, with addresses for pointers, which ctypes need not look at."""
    function = library[name]
    function.argtypes = arguments + [c_void_p]
    function.restype = ctypes.c_int
    return function


_p = c_void_p
_zero_pad = _fast("cn_zero_pad", [_p, ctypes.c_int, _p])
_conv_single_step = _fast("cn_conv_single_step", [_p, _p, _p, _p])
_conv_forward = _fast("cn_conv_forward", [_p, _p, _p, c.cn_hparameters, _p, _p])
_pool_forward = _fast("cn_pool_forward", [_p, c.cn_hparameters, ctypes.c_int, _p, _p])
_conv_backward = _fast("cn_conv_backward", [_p, _p, _p, _p, _p])
_mask = _fast("cn_create_mask_from_window", [_p, _p])
_distribute = _fast("cn_distribute_value", [c_double, ctypes.c_int, ctypes.c_int, _p])
_pool_backward = _fast("cn_pool_backward", [_p, _p, ctypes.c_int, _p])


class _Call(ctypes.Structure):
    """Room for what a call points at."""

    tensors: Any
    conv: c.cn_conv_cache
    pool: c.cn_pool_cache
    error: c.cn_error
    _fields_ = [("tensors", c.cn_tensor * 4), ("conv", c.cn_conv_cache),
                ("pool", c.cn_pool_cache), ("error", c.cn_error)]  # fmt: skip


_ERROR, _CONV, _POOL = _Call.error.offset, _Call.conv.offset, _Call.pool.offset
assert [field.offset for field in (c.cn_conv_cache.A_prev, c.cn_conv_cache.W, c.cn_conv_cache.b)] == [
    0, TENSOR, 2 * TENSOR]  # fmt: skip
_at, _byte, _pack_four = ctypes.addressof, byte_of, ROWS[4].pack_into


def _check(status: int, call: _Call) -> None:
    if status:
        raise exception(call.error)


def _number(hparameters: HParameters, key: str, call: str) -> int:
    try:
        value = hparameters[key]
    except (KeyError, TypeError):
        raise ArgumentError(f'{call}: hparameters lack "{key}"') from None
    if type(value) is not int:
        whole = int(value)
        if whole != value:
            raise ArgumentError(f'{call}: "{key}" is {value}, expected a whole number')
        value = whole
    if not -(2**31) <= value < 2**31:
        raise ArgumentError(f'{call}: "{key}" is {value}, which is too large')
    return value


def _mode(mode: str, call: str) -> int:
    try:
        return _MODES[mode]
    except (KeyError, TypeError):
        raise ArgumentError(f'{call}: mode is {mode!r}, expected "max" or "average"') from None


def _extent(n_prev: int, f: int, stride: int, pad: int) -> int:
    """The output's extent, at least 1: what does not fit is for the library to say."""
    return max((n_prev - f + 2 * pad) // stride + 1, 1) if stride > 0 else 1


@functools.lru_cache(maxsize=64)
def _hparameters(stride: int, pad: int, f: int = 0) -> c.cn_hparameters:
    """Passed by value, so one for each triple will do."""
    return c.cn_hparameters(stride, pad, f)


def _ranks(call: str, **arrays: Tuple[Array, int, str]) -> None:
    for name, (a, rank, axes) in arrays.items():
        if a.ndim != rank:
            raise ShapeError(f"{call}: {name} has rank {a.ndim}, expected {axes}")


_IMAGES = "(m, n_H_prev, n_W_prev, n_C_prev)"


def zero_pad(X: Any, pad: int) -> Array:
    """X (m, n_H, n_W, n_C) -> X_pad (m, n_H + 2 pad, n_W + 2 pad, n_C), zeros around each image."""
    X = prepare(X, "X")
    if X.ndim != 4:
        _ranks("zero_pad", X=(X, 4, "(m, n_H, n_W, n_C)"))
    pad = _number({"pad": pad}, "pad", "zero_pad")
    dtype = c.CN_DTYPE_F32 if X.dtype == F32 else c.CN_DTYPE_F64
    m, h, w, n_c = X.shape
    extra = 2 * max(pad, 0)
    made = np.empty((m, h + extra, w + extra, n_c), X.dtype)
    call = _Call()
    at = _at(call)
    pack_row(call, 0, dtype, (X, made), "zero_pad: X")
    _check(_zero_pad(at, pad, at + TENSOR, at + _ERROR), call)
    return made


def conv_single_step(a_slice_prev: Any, W: Any, b: Any) -> float:
    """sum(a_slice_prev * W) + b, in double precision. Shapes (f, f, n_C_prev) twice, (1, 1, 1)."""
    a = prepare(a_slice_prev, "a_slice_prev")
    W, b = prepare(W, "W", a.dtype), prepare(b, "b", a.dtype)
    dtype = c.CN_DTYPE_F32 if a.dtype == F32 else c.CN_DTYPE_F64
    call, Z = _Call(), c_double()
    at = _at(call)
    for i, (name, array) in enumerate((("a_slice_prev", a), ("W", W), ("b", b))):
        pack(call, i * TENSOR, array, dtype, f"conv_single_step: {name}")
    _check(_conv_single_step(at, at + TENSOR, at + 2 * TENSOR, _at(Z), at + _ERROR), call)
    return Z.value


def conv_forward(A_prev: Any, W: Any, b: Any, hparameters: HParameters) -> Tuple[Array, ConvCache]:
    """Z (m, n_H, n_W, n_C), n = floor((n_prev - f + 2 pad) / stride) + 1, and the cache for
    conv_backward: (A_prev, W, b, hparameters).

    A_prev (m, n_H_prev, n_W_prev, n_C_prev), W (f, f, n_C_prev, n_C), b (1, 1, 1, n_C);
    hparameters "stride" and "pad"."""
    A_prev = prepare(A_prev, "A_prev")
    kind = A_prev.dtype
    W, b = prepare(W, "W", kind), prepare(b, "b", kind)
    stride = _number(hparameters, "stride", "conv_forward")
    pad = _number(hparameters, "pad", "conv_forward")
    try:
        m, h, w, n_c_prev = A_prev.shape
        f, f_w, n_c_w, n_c = W.shape
        b_0, b_1, b_2, b_3 = b.shape
    except ValueError:
        _ranks("conv_forward", A_prev=(A_prev, 4, _IMAGES), W=(W, 4, "(f, f, n_C_prev, n_C)"),
               b=(b, 4, "(1, 1, 1, n_C)"))  # fmt: skip
        raise
    if stride > 0 and h + 2 * pad >= f <= w + 2 * pad:  # _extent, in place
        h_z, w_z = (h - f + 2 * pad) // stride + 1, (w - f + 2 * pad) // stride + 1
    else:
        h_z, w_z = _extent(h, f, stride, pad), _extent(w, f, stride, pad)
    Z = np.empty((m, h_z, w_z, n_c), kind)
    dtype = c.CN_DTYPE_F32 if kind is F32 or kind == F32 else c.CN_DTYPE_F64
    call = _Call()
    at = _at(call)
    try:  # pack_row, with the extents that are known already
        _pack_four(
            call, 0, dtype, 4, m, h, w, n_c_prev, _at(_byte(A_prev)), 0,
            dtype, 4, f, f_w, n_c_w, n_c, _at(_byte(W)), 0,
            dtype, 4, b_0, b_1, b_2, b_3, _at(_byte(b)), 0,
            dtype, 4, m, h_z, w_z, n_c, _at(_byte(Z)), 0)  # fmt: skip
    except (TypeError, ValueError, BufferError):  # an array that is read-only
        pack_row(call, 0, dtype, (A_prev, W, b, Z), "conv_forward: A_prev")
    status = _conv_forward(
        at, at + TENSOR, at + 2 * TENSOR, _hparameters(stride, pad), at + 3 * TENSOR, None,
        at + _ERROR)  # fmt: skip
    if status:
        raise exception(call.error)
    return Z, (A_prev, W, b, hparameters)


def pool_forward(
    A_prev: Any, hparameters: HParameters, mode: str = "max"
) -> Tuple[Array, PoolCache]:
    """A (m, n_H, n_W, n_C), the maximum or the mean ("average") of each window, and the cache
    for pool_backward: (A_prev, hparameters).

    A_prev (m, n_H_prev, n_W_prev, n_C); hparameters "f" and "stride"; no padding."""
    A_prev = prepare(A_prev, "A_prev")
    f = _number(hparameters, "f", "pool_forward")
    stride = _number(hparameters, "stride", "pool_forward")
    if A_prev.ndim != 4:
        _ranks("pool_forward", A_prev=(A_prev, 4, _IMAGES))
    m, h, w, n_c = A_prev.shape
    shape = (m, _extent(h, f, stride, 0), _extent(w, f, stride, 0), n_c)
    A = np.empty(shape, A_prev.dtype)
    dtype = c.CN_DTYPE_F32 if A_prev.dtype == F32 else c.CN_DTYPE_F64
    call = _Call()
    at = _at(call)
    pack_row(call, 0, dtype, (A_prev, A), "pool_forward: A_prev")
    status = _pool_forward(
        at, _hparameters(stride, 0, f), _mode(mode, "pool_forward"), at + TENSOR, None,
        at + _ERROR)  # fmt: skip
    _check(status, call)
    return A, (A_prev, hparameters)


def conv_backward(dZ: Any, cache: ConvCache) -> Tuple[Array, Array, Array]:
    """dA_prev, dW and db, with the shapes of A_prev, W and b, summed over the batch (no 1/m).

    dZ (m, n_H, n_W, n_C); the cache is conv_forward's, or any (A_prev, W, b, hparameters)."""
    A_prev, W, b, hparameters = cache
    A_prev = prepare(A_prev, "A_prev")
    dtype = c.CN_DTYPE_F32 if A_prev.dtype == F32 else c.CN_DTYPE_F64
    W, b = prepare(W, "W", A_prev.dtype), prepare(b, "b", A_prev.dtype)
    dZ = prepare(dZ, "dZ", A_prev.dtype)
    stride = _number(hparameters, "stride", "conv_backward")
    pad = _number(hparameters, "pad", "conv_backward")
    kind = A_prev.dtype
    dA_prev, dW, db = np.empty(A_prev.shape, kind), np.empty(W.shape, kind), np.empty(b.shape, kind)
    call = _Call()
    at = _at(call)
    pack_row(call, _CONV, dtype, (A_prev, W, b), "conv_backward: A_prev")
    call.conv.hparameters = _hparameters(stride, pad)
    pack_row(call, 0, dtype, (dZ, dA_prev, dW, db), "conv_backward: dZ")
    status = _conv_backward(
        at, at + _CONV, at + TENSOR, at + 2 * TENSOR, at + 3 * TENSOR, at + _ERROR)  # fmt: skip
    _check(status, call)
    return dA_prev, dW, db


def create_mask_from_window(x: Any) -> Array:
    """x == max(x), bool, of x's shape: every tie is True."""
    x = prepare(x, "x")
    mask = np.empty(x.shape, np.uint8)
    call = _Call()
    at = _at(call)
    pack(call, 0, x, c.CN_DTYPE_F32 if x.dtype == F32 else c.CN_DTYPE_F64, "create_mask_from_window: x")
    pack(call, TENSOR, mask, c.CN_DTYPE_U8, "mask")
    _check(_mask(at, at + TENSOR, at + _ERROR), call)
    return mask.view(np.bool_)


def distribute_value(dz: float, shape: Tuple[int, int]) -> Array:
    """(n_H, n_W), every element dz / (n_H n_W); float32 where dz is a numpy.float32."""
    n_h, n_w = (_number({"shape": n}, "shape", "distribute_value") for n in shape)
    kind = F32 if getattr(dz, "dtype", F64) == F32 else F64
    a = np.empty((max(n_h, 1), max(n_w, 1)), kind)
    call = _Call()
    at = _at(call)
    pack(call, 0, a, c.CN_DTYPE_F32 if kind == F32 else c.CN_DTYPE_F64, "a")
    _check(_distribute(float(dz), n_h, n_w, at, at + _ERROR), call)
    return a


def pool_backward(dA: Any, cache: PoolCache, mode: str = "max") -> Array:
    """dA_prev, with the shape of the cache's A_prev. "max": every element equal to its window's
    maximum receives the whole gradient. "average": dA is spread evenly over the window.

    dA (m, n_H, n_W, n_C); the cache is pool_forward's, or any (A_prev, hparameters)."""
    A_prev, hparameters = cache
    A_prev = prepare(A_prev, "A_prev")
    dA = prepare(dA, "dA", A_prev.dtype)
    dtype = c.CN_DTYPE_F32 if A_prev.dtype == F32 else c.CN_DTYPE_F64
    stride = _number(hparameters, "stride", "pool_backward")
    f = _number(hparameters, "f", "pool_backward")
    made = np.empty(A_prev.shape, A_prev.dtype)
    call = _Call()
    at = _at(call)
    pack_row(call, _POOL, dtype, (A_prev,), "pool_backward: A_prev")
    call.pool.hparameters = _hparameters(stride, 0, f)
    pack_row(call, 0, dtype, (dA, made), "pool_backward: dA")
    status = _pool_backward(
        at, at + _POOL, _mode(mode, "pool_backward"), at + TENSOR, at + _ERROR)  # fmt: skip
    _check(status, call)
    return made
