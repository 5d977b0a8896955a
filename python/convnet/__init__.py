"""Convolutional neural networks on a CPU: the library in plain C, over numpy.

The course's functions are `zero_pad`, `conv_forward` and the other six; a network of your own is
a `Model`, trained on arrays or on a `Dataset`. docs/python.md shows all of it.
"""
from ._library import (ArgumentError, DivergedError, Error, FileError, FormatError,
                       OutOfMemoryError, ShapeError, StoppedError, UnsupportedError, library)
from ._arrays import CopyWarning
from .blocks import (conv_backward, conv_forward, conv_single_step, create_mask_from_window,
                     distribute_value, pool_backward, pool_forward, zero_pad)

__version__ = library.cn_version().decode()
