"""Convolutional neural networks on a CPU: the library in plain C, over numpy.

The course's functions are `zero_pad`, `conv_forward` and the other six; a network of your own is
a `Model`, trained on arrays or on a `Dataset`. docs/python.md shows all of it.
"""
from ._arrays import CopyWarning
from ._library import (ArgumentError, DivergedError, Error, FileError, FormatError,
                       OutOfMemoryError, ShapeError, StoppedError, UnsupportedError, library)
from .blocks import (conv_backward, conv_forward, conv_single_step, create_mask_from_window,
                     distribute_value, pool_backward, pool_forward, zero_pad)
from .data import Dataset
from .graph import Node
from .model import Gradcheck, Layer, Metrics, Model, Plan, zoo
from .training import Callback, EarlyStopping, History, ModelCheckpoint, Progress

__version__: str = library.cn_version().decode()

__all__ = [
    "ArgumentError", "Callback", "CopyWarning", "Dataset", "DivergedError", "EarlyStopping",
    "Error", "FileError", "FormatError", "Gradcheck", "History", "Layer", "Metrics", "Model",
    "ModelCheckpoint", "Node", "OutOfMemoryError", "Plan", "Progress", "ShapeError",
    "StoppedError", "UnsupportedError", "conv_backward", "conv_forward", "conv_single_step",
    "create_mask_from_window", "distribute_value", "pool_backward", "pool_forward", "zero_pad",
    "zoo",
]  # fmt: skip
