"""numpy arrays as tensors of the library, and back, without a copy where the layout allows."""
from __future__ import annotations

import ctypes
import struct
import warnings
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Set, Tuple

import numpy as np

from . import _interface as c
from ._library import ArgumentError, ShapeError

if TYPE_CHECKING:
    Array = np.ndarray[Any, Any]
else:
    Array = np.ndarray  # which numpy before 1.22 does not index

DTYPES: Dict[str, int] = {
    "<f4": c.CN_DTYPE_F32,
    "<f8": c.CN_DTYPE_F64,
    "<i4": c.CN_DTYPE_I32,
    "|u1": c.CN_DTYPE_U8,
}
_NUMPY = {number: np.dtype(name) for name, number in DTYPES.items()}
F32, F64 = np.dtype(np.float32), np.dtype(np.float64)


class CopyWarning(UserWarning):
    """An array was copied on its way to the library, because of its layout or its type. Said once
    for each reason."""


_said: Set[str] = set()


def say_copy(name: str, reason: str) -> None:
    if reason not in _said:
        _said.add(reason)
        warnings.warn(
            f"{name} is copied: {reason}; said once", CopyWarning, stacklevel=4
        )


def as_array(value: Any, name: str) -> Array:
    """numpy's view of whatever holds numbers: an array, an object with __array_interface__ or
    with DLPack (a tensor of PyTorch, JAX, CuPy in the host's memory), nested lists."""
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        raise ArgumentError(f"{name} is a masked array, whose mask would be lost: fill it first")
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "__dlpack__") and hasattr(np, "from_dlpack"):
        try:
            made: Array = np.from_dlpack(value)
            return made
        except (BufferError, RuntimeError, TypeError, ValueError):
            pass  # on another device, say: what __array__ makes of it, or its own error
    made = np.asarray(value)
    if made.dtype == object:
        raise ArgumentError(f"{name} is {type(value).__name__}, expected an array of numbers")
    return made


def prepare(value: Any, name: str, dtype: Optional[np.dtype[Any]] = None) -> Array:
    """A C-ordered array of `dtype`, or where that is None of float32 or float64. Copies only what
    is laid out differently or has another type, and says so."""
    if type(value) is np.ndarray and value.flags.carray:  # the usual case, quickly
        own = value.dtype
        if own is dtype or (dtype is None and (own is F32 or own is F64)):
            return value
    a = value if isinstance(value, np.ndarray) else as_array(value, name)
    wanted = dtype
    if wanted is None:
        wanted = F32 if a.dtype == F32 else F64
    if a.dtype != wanted:
        if a.dtype.kind not in "fiub":
            raise ArgumentError(f"{name} has dtype {a.dtype}, expected numbers")
        if isinstance(value, np.ndarray):
            say_copy(name, f"its dtype is {a.dtype}, and {wanted} is computed with")
        converted: Array = np.ascontiguousarray(a, wanted).reshape(a.shape)
        return converted
    if not a.flags.c_contiguous:
        say_copy(name, "its elements do not lie in C order, one after another")
        ordered: Array = np.ascontiguousarray(a)
        return ordered
    if not a.flags.aligned:
        say_copy(name, "its elements are not aligned")
        aligned: Array = a.copy()
        return aligned
    return a


_fields: Any = c.cn_tensor._fields_
_CODES = "".join(
    f"{kind._length_}{kind._type_._type_}" if hasattr(kind, "_length_") else kind._type_
    for kind in (field[1] for field in _fields)
)
_pack_into = struct.Struct("@" + _CODES).pack_into
TENSOR = ctypes.sizeof(c.cn_tensor)
assert struct.calcsize("@" + _CODES) == TENSOR
_byte: Any = ctypes.c_char
byte_of = _byte.from_buffer
_address = ctypes.addressof
_ZEROS = tuple((0,) * n for n in range(c.CN_MAX_RANK + 1))


def address(a: Array) -> int:
    try:
        return _address(byte_of(a))  # a fifth of the time of a.ctypes.data
    except (TypeError, ValueError, BufferError):  # read-only, or empty
        return int(a.__array_interface__["data"][0])


ROWS = tuple(struct.Struct("@" + _CODES * n) for n in range(5))
assert ROWS[4].size == 4 * TENSOR


def pack_row(buffer: Any, offset: int, dtype: int, arrays: Tuple[Array, ...], name: str) -> None:
    """pack for up to four arrays of one type, cn_tensors that follow one another. Those of rank 4
    are the usual case, which is quick."""
    numbers: List[int] = []
    try:
        for a in arrays:
            m, h, w, n = a.shape
            numbers += (dtype, 4, m, h, w, n, _address(byte_of(a)), 0)
    except (TypeError, ValueError, BufferError):  # another rank, or as in address()
        for i, a in enumerate(arrays):
            pack(buffer, offset + i * TENSOR, a, dtype, name)
        return
    ROWS[len(arrays)].pack_into(buffer, offset, *numbers)


def pack(buffer: Any, offset: int, a: Array, dtype: int, name: str) -> None:
    """Writes a cn_tensor over the array's memory into the buffer."""
    rank = a.ndim
    if not 1 <= rank <= c.CN_MAX_RANK:
        raise ShapeError(f"{name} has rank {rank}, expected 1 to {c.CN_MAX_RANK}")
    _pack_into(buffer, offset, dtype, rank, *a.shape, *_ZEROS[c.CN_MAX_RANK - rank], address(a), 0)


def tensor(a: Array, name: str) -> c.cn_tensor:
    """A cn_tensor over the array's memory, which the caller keeps alive."""
    made = c.cn_tensor()
    pack(made, 0, a, DTYPES[a.dtype.str], name)
    return made


class _Memory:
    """Memory of the library's, for np.asarray: the array keeps this alive, and this the owner."""

    def __init__(self, t: c.cn_tensor, owner: Any, writable: bool) -> None:
        shape: Tuple[int, ...] = tuple(t.shape[: t.rank])
        self.owner = owner
        self.__array_interface__ = {
            "version": 3,
            "typestr": _NUMPY[t.dtype].str,
            "shape": shape,
            "data": (t.data, not writable),
        }


def view(t: c.cn_tensor, owner: Any, writable: bool = False) -> Array:
    """An array over a tensor's memory, which lives as long as the array does."""
    return np.asarray(_Memory(t, owner, writable))
