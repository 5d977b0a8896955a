"""The shared library: where it lies, how it is called, and its errors as exceptions."""
from __future__ import annotations

import ctypes
import operator
import os
import sys
from ctypes import byref
from typing import Any, Dict, Optional, Type

from . import _interface as c


class Error(Exception):
    """What the library says: the thing, what was expected, what was found.

    `status` is the number of cn_status. Each status has a class of its own, which also derives
    from the built-in exception nearest to it."""

    status = -1


class ArgumentError(Error, ValueError):
    """An invalid argument."""


class ShapeError(Error, ValueError):
    """Shapes that do not fit."""


class OutOfMemoryError(Error, MemoryError):
    """Memory that could not be had."""


class FileError(Error, OSError):
    """Input or output that failed."""


class FormatError(Error, ValueError):
    """A malformed file."""


class UnsupportedError(Error, NotImplementedError):
    """What the library, or this build of it, does not do."""


class StoppedError(Error):
    """Stopped by the caller."""


class DivergedError(Error, ArithmeticError):
    """A number that is NaN or infinite."""


_CLASSES: Dict[int, Type[Error]] = {
    c.CN_ERR_ARGUMENT: ArgumentError,
    c.CN_ERR_SHAPE: ShapeError,
    c.CN_ERR_MEMORY: OutOfMemoryError,
    c.CN_ERR_IO: FileError,
    c.CN_ERR_FORMAT: FormatError,
    c.CN_ERR_UNSUPPORTED: UnsupportedError,
    c.CN_ERR_STOPPED: StoppedError,
    c.CN_ERR_DIVERGED: DivergedError,
}


def exception(error: c.cn_error) -> Error:
    made = _CLASSES.get(error.status, Error)(bytes(error.text).decode("utf-8", "replace"))
    made.status = error.status
    return made


def _open() -> ctypes.CDLL:
    """The library beside this file, or the one that CONVNET_LIBRARY names."""
    name = "libconvnet.dylib" if sys.platform == "darwin" else "libconvnet.so"
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), name)
    path = os.environ.get("CONVNET_LIBRARY") or beside
    try:
        opened = c.declare(ctypes.CDLL(path))
    except (OSError, AttributeError) as reason:
        raise ImportError(f"convnet: the library {path} cannot be used: {reason}") from reason
    found = opened.cn_version().decode()
    expected = f"{c.CN_VERSION_MAJOR}.{c.CN_VERSION_MINOR}.{c.CN_VERSION_PATCH}"
    if found != expected:
        raise ImportError(f"convnet: {path} is version {found}, this package is {expected}")
    return opened


library = _open()


def call(function: Any, *arguments: Any) -> None:
    """Calls a function that returns a cn_status and takes a cn_error last. Other Python threads
    run meanwhile."""
    error = c.cn_error()
    if function(*arguments, byref(error)):
        raise exception(error)


def path_bytes(path: Any) -> bytes:
    made = os.fsencode(path)
    if b"\0" in made:  # where C would see its end
        raise ArgumentError(f"{path!r} has a zero byte, which no file's name can have")
    return made


def text_bytes(given: str) -> bytes:
    made = given.encode()
    if b"\0" in made:  # where C would see its end
        raise ArgumentError(f"{given!r} has a zero byte, which no text can have")
    return made


def seed_of(seed: Any) -> int:
    """A seed that C would cut to 64 bits is refused."""
    whole = operator.index(seed)
    if not 0 <= whole < 2**64:
        raise ArgumentError(f"seed is {whole}, expected a whole number of 0 to 2**64 - 1")
    return whole


def text(value: Optional[bytes]) -> str:
    return value.decode("utf-8", "replace") if value else ""


def word_of(enum: str, value: int) -> str:
    """The word of an enum's constant, as number() takes it."""
    names = [n for n in c.ENUMS[enum] if getattr(c, n) == value]
    prefix = os.path.commonprefix([n + "_" for n in c.ENUMS[enum]])
    return names[0][prefix.rfind("_") + 1 :].lower()


def number(enum: str, word: str, what: str) -> int:
    """The constant of an enum by its word: "same" is CN_PADDING_SAME."""
    names = c.ENUMS[enum]
    prefix = os.path.commonprefix([n + "_" for n in names])
    prefix = prefix[: prefix.rfind("_") + 1]
    words = [n[len(prefix) :].lower() for n in names]
    if str(word).lower().replace("-", "_") not in words:
        raise ArgumentError(f'{what} is "{word}", expected {", ".join(words)}')
    return int(getattr(c, names[words.index(str(word).lower().replace("-", "_"))]))
