"""Sets of labeled images: from numpy, and from what --data of the command reads."""
from __future__ import annotations

import ctypes
from ctypes import byref, c_void_p
from typing import Any, List, Optional, Tuple, Union

import numpy as np

from . import _interface as c
from ._arrays import F32, Array, as_array, prepare, tensor, view
from ._library import ArgumentError, ShapeError, call, library, number, path_bytes, seed_of, text


class Handle:
    """A pointer that frees what it points at with the last reference to it."""

    def __init__(self, free: Any) -> None:
        self.pointer, self._free = c_void_p(), free

    def __reduce__(self) -> Any:
        raise TypeError("what lies in the library's memory cannot be pickled")

    def __del__(self) -> None:
        if self.pointer:
            self._free(self.pointer)
            self.pointer = c_void_p()


def images_of(x: Any) -> Array:
    """(n, n_H, n_W, n_C) uint8 or float32; (n, n_H, n_W) gets one channel."""
    a = as_array(x, "x")
    if a.ndim == 3:
        a = a.reshape(*a.shape, 1)
    if a.ndim != 4:
        raise ShapeError(f"x has shape {a.shape}, expected (n, n_H, n_W, n_C) or (n, n_H, n_W)")
    return prepare(a, "x", a.dtype if a.dtype == np.uint8 else F32)


def labels_of(y: Any, count: int) -> Array:
    """(n,) int32, from whole numbers or from rows with a single 1."""
    a = as_array(y, "y")
    if a.ndim == 2 and a.shape[1] == 1:
        a = a.reshape(-1)
    if a.ndim == 2:
        if not ((a == 0) | (a == 1)).all() or not (a.sum(1) == 1).all():
            raise ArgumentError("y has rows that are not a single 1 among zeros")
        a = a.argmax(1)
    if a.shape != (count,):
        raise ShapeError(f"y has shape {a.shape}, expected ({count},): a label for each image")
    if a.dtype.kind in "OSU":
        try:  # numbers that are held as objects or texts
            a = a.astype(np.float64)
        except (TypeError, ValueError):
            raise ArgumentError(
                f"y has dtype {a.dtype}, expected whole numbers: numpy.unique(y, return_inverse=True) "
                "numbers classes that have names") from None  # fmt: skip
    if a.dtype.kind not in "fiub":
        raise ArgumentError(f"y has dtype {a.dtype}, expected whole numbers")
    wrong = a[~((a >= -(2**31)) & (a < 2**31) & (a == np.trunc(a)))]
    if wrong.size:
        raise ArgumentError(f"y has the label {wrong[0]}, expected whole numbers of 0 to 2147483647")
    return np.ascontiguousarray(a, np.int32)


def masks_of(y: Any) -> Array:
    """(n, n_H, n_W) uint8: a class for each pixel, 255 for none."""
    a = as_array(y, "y")
    bytes_ = a.astype(np.uint8)
    if not np.array_equal(bytes_, a):
        raise ArgumentError("y has pixels that are not whole numbers of 0 to 255")
    return np.ascontiguousarray(bytes_)


def targets_of(y: Any) -> Array:
    """(n, count) float32; (n,) gets one column."""
    a = as_array(y, "y")
    return prepare(a.reshape(-1, 1) if a.ndim == 1 else a, "y", F32)


class Dataset:
    """Images (n, n_H, n_W, n_C), uint8 pixels or float32, with a label each. Immutable.

    Dataset(x, y) copies arrays; Dataset.load reads what --data of the command reads. By the task, y is
    labels (n,), or rows with a single 1; for "segmentation" masks (n, n_H, n_W); for "multi_label"
    rows of 0 and 1; for "regression" rows of numbers."""

    def __init__(self, x: Any, y: Any, classes: int = 0, task: str = "classification") -> None:
        x = images_of(x)
        kind = number("cn_task_kind", task, "task")
        if task != "classification":
            self._handle = Handle(library.cn_dataset_free)
            at = byref(self._handle.pointer)
            if task == "segmentation":
                y = masks_of(y)
                classes = classes or max(int(y[y != 255].max(initial=0)) + 1, 1)
                call(library.cn_dataset_create_masks, at, tensor(x, "x"), tensor(y, "y"), classes)
            else:
                y = targets_of(y)
                call(library.cn_dataset_create_targets, at, kind, tensor(x, "x"), tensor(y, "y"), None)
            return
        y = labels_of(y, len(x))
        if len(y) == 0:
            raise ShapeError("x and y are empty")
        classes = classes or max(int(y.max()) + 1, 1)
        self._handle = Handle(library.cn_dataset_free)
        labels = y.ctypes.data_as(ctypes.POINTER(ctypes.c_int32))
        call(library.cn_dataset_create, byref(self._handle.pointer), tensor(x, "x"), labels, classes)

    def __reduce__(self) -> Any:
        raise TypeError("a Dataset cannot be pickled: pickle its spec or its arrays, and make it again")

    def __copy__(self) -> Dataset:
        return self  # immutable

    def __deepcopy__(self, _: Any) -> Dataset:
        return self

    @classmethod
    def _of(cls, handle: Handle) -> Dataset:
        made = cls.__new__(cls)
        made._handle = handle
        return made

    @classmethod
    def load(cls, spec: Any, subset: str = "train", memory: int = 0) -> Dataset:
        """What a spec such as "mnist:DIR", "hdf5:FILE" or a folder holds (docs/data.md); subset is
        "train", "test", "validation" (an ArgumentError where the data bring none of their own),
        "all" or "test_or_all". A set of more than half of `memory` (bytes; 0: half of what is free) is
        read while it is used, to the same results."""
        handle = Handle(library.cn_dataset_free)
        which = number("cn_subset", subset, "subset")
        opts = c.cn_dataset_opts(memory=memory)
        call(library.cn_dataset_load, byref(handle.pointer), path_bytes(spec), which, byref(opts))
        if not handle.pointer:
            raise ArgumentError(f'"{spec}" has no {subset} set of its own')
        return cls._of(handle)

    def __len__(self) -> int:
        return int(library.cn_dataset_size(self._handle.pointer))

    @property
    def shape(self) -> Tuple[int, int, int]:
        """(n_H, n_W, n_C) of an image."""
        n = library.cn_dataset_shape(self._handle.pointer)
        return n[0], n[1], n[2]

    @property
    def classes(self) -> int:
        return int(library.cn_dataset_classes(self._handle.pointer))

    @property
    def class_names(self) -> List[str]:
        at = self._handle.pointer
        return [text(library.cn_dataset_class_name(at, i)) for i in range(self.classes)]

    @property
    def remarks(self) -> str:
        """What there is to say about how the set was read."""
        return text(library.cn_dataset_remarks(self._handle.pointer))

    @property
    def images(self) -> Array:
        """(n, n_H, n_W, n_C), uint8 or float32, a view that may not be written to: the values that
        the files have, such as 0 to 16 in "digits". An ArgumentError where they are not in memory:
        `batch` reads them."""
        images = library.cn_dataset_images(self._handle.pointer)[0]
        if not images.data:
            raise ArgumentError("the images are not in memory: batch(index) reads them")
        return view(images, self._handle)

    @property
    def labels(self) -> Array:
        """(n,) int32, a view that may not be written to."""
        t = c.cn_tensor(rank=1, data=ctypes.cast(
            library.cn_dataset_labels(self._handle.pointer), c_void_p).value)  # fmt: skip
        t.dtype, t.shape[0] = c.CN_DTYPE_I32, len(self)
        return view(t, self._handle)

    @property
    def targets(self) -> Optional[Array]:
        """(n, classes) float32, a view that may not be written to: several labels per image, or
        numbers; None where there is a class for each image or pixel."""
        found = library.cn_dataset_targets(self._handle.pointer)
        return view(found[0], self._handle) if found else None

    def statistics(self) -> Tuple[Array, Array]:
        """Mean and standard deviation of each channel, (n_C,) float32, pixels as [0, 1]."""
        mean, std = np.empty(self.shape[2], F32), np.empty(self.shape[2], F32)
        library.cn_dataset_statistics(self._handle.pointer, _floats(mean), _floats(std))
        return mean, std

    def batch(
        self, index: Any = None, normalization: Optional[Tuple[Any, Any]] = None
    ) -> Array:
        """The images `index` (default: all) as training sees them, float32: pixels as [0, 1], and
        where mean and standard deviation of each channel are given normalized by them."""
        at = np.arange(len(self))
        chosen = np.ascontiguousarray(at if index is None else at[np.asarray(index)], np.int32)
        made = np.empty((chosen.size, *self.shape), F32)
        mean, std = normalization or (None, None)
        given = [None if v is None else _floats(np.ascontiguousarray(v, F32)) for v in (mean, std)]
        call(library.cn_dataset_batch,
            self._handle.pointer, chosen.ctypes.data_as(ctypes.POINTER(ctypes.c_int)), chosen.size,
            *given, _floats(made), None)  # fmt: skip
        return made

    def select(self, index: Any) -> Dataset:
        """A copy of the images `index`, in that order."""
        at = np.ascontiguousarray(np.arange(len(self))[index], np.int32).reshape(-1)
        handle = Handle(library.cn_dataset_free)
        call(library.cn_dataset_select, byref(handle.pointer), self._handle.pointer,
             at.ctypes.data_as(ctypes.POINTER(ctypes.c_int)), len(at))  # fmt: skip
        return self._of(handle)

    __getitem__ = select

    def hold_out(self, fraction: float = 0.1, seed: int = 0) -> Tuple[Dataset, Dataset]:
        """Two parts, the second with this fraction of the images: evenly from the whole, or with
        another seed than 0 at random, in proportion from each class."""
        kept, held = Handle(library.cn_dataset_free), Handle(library.cn_dataset_free)
        given = (byref(kept.pointer), byref(held.pointer), self._handle.pointer, fraction)
        if seed:
            call(library.cn_dataset_split, *given, seed_of(seed))
        else:
            call(library.cn_dataset_hold_out, *given)
        return self._of(kept), self._of(held)

    def __repr__(self) -> str:
        n_h, n_w, n_c = self.shape
        return f"<Dataset of {len(self)} images, {n_h} x {n_w} x {n_c}, {self.classes} classes>"


def _floats(a: Array) -> Any:
    return a.ctypes.data_as(ctypes.POINTER(ctypes.c_float))


Source = Union[Dataset, str, Tuple[Any, Any]]


def dataset_of(
    x: Any, y: Any = None, subset: str = "train", classes: int = 0, task: str = "classification"
) -> Dataset:
    """A Dataset from itself, a spec, or arrays."""
    if isinstance(x, Dataset):
        if y is not None:
            raise ArgumentError("y is given beside a Dataset, which has labels of its own")
        return x
    if isinstance(x, str):
        return Dataset.load(x, subset)
    if y is None:
        raise ArgumentError("y is missing: a label for each image")
    return Dataset(x, y, classes, task)
