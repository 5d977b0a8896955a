"""The C interface as include/convnet.h declares it, in ctypes, for the programs beside this one.

Loads the library that the program's first argument names.
"""
import ctypes
import sys
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_double, c_int, c_uint64, c_void_p

import numpy as np

F32, I32 = 0, 2
DEFAULT, CROSS_ENTROPY, BINARY, SQUARED = 0, 1, 2, 3
ADAM, SGD, ADAMW, RMSPROP = 0, 1, 2, 3


class Error(ctypes.Structure):
    _fields_ = [("status", c_int), ("text", c_char * 256)]


class Tensor(ctypes.Structure):
    _fields_ = [("dtype", c_int), ("rank", c_int), ("shape", c_int * 4), ("data", c_void_p),
                ("owned", c_void_p)]

    def array(self):
        """A float32 array over the tensor's memory."""
        shape = tuple(self.shape[: self.rank])
        size = int(np.prod(shape))
        return np.ctypeslib.as_array((ctypes.c_float * size).from_address(self.data)).reshape(shape)


class Parameter(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("value", Tensor), ("statistic", c_bool)]


class Optimizer(ctypes.Structure):
    _fields_ = [("kind", c_int), ("momentum", c_double), ("dampening", c_double),
                ("nesterov", c_bool), ("beta1", c_double), ("beta2", c_double), ("alpha", c_double),
                ("epsilon", c_double), ("weight_decay", c_double), ("decoupled", c_bool),
                ("decay_all", c_bool), ("clip_norm", c_double), ("clip_value", c_double)]


class LossOpts(ctypes.Structure):
    _fields_ = [("kind", c_int), ("label_smoothing", c_double), ("class_weights", c_void_p)]


class SessionOpts(ctypes.Structure):
    _fields_ = [("batch", c_int), ("threads", c_int), ("training", c_bool), ("seed", c_uint64),
                ("input_gradient", c_bool), ("no_winograd", c_bool), ("precision", c_int),
                ("loss", LossOpts), ("optimizer", Optimizer), ("backend", c_char_p)]


library = ctypes.CDLL(sys.argv[1])
library.cn_output.restype = library.cn_input_gradient.restype = Tensor
library.cn_model_parameter.restype = library.cn_gradient.restype = c_bool
library.cn_output.argtypes = library.cn_input_gradient.argtypes = [c_void_p]
library.cn_step.argtypes = [c_void_p, c_double, POINTER(Error)]
library.cn_model_parse.argtypes = [POINTER(c_void_p), c_char_p, POINTER(c_int), c_int, c_uint64,
                                   POINTER(Error)]


def call(function, *arguments):
    error = Error()
    if function(*arguments, byref(error)) != 0:
        sys.exit(f"{function.__name__}: {error.text.decode()}")


def tensor(array):
    assert array.flags.c_contiguous
    t = Tensor(F32 if array.dtype == np.float32 else I32, array.ndim)
    t.shape[: array.ndim] = array.shape
    t.data = array.ctypes.data
    return t


class Model:
    """A model from a text, and a session that trains it."""

    def __init__(self, text, shape, batch, loss=LossOpts(), optimizer=Optimizer(), classes=10,
                 seed=1):
        self.batch = batch
        self.text, self.model, self.session = text, c_void_p(), c_void_p()
        call(library.cn_model_parse, byref(self.model), text.encode(), (c_int * 3)(*shape), classes,
             seed)
        opts = SessionOpts(batch=batch, training=True, input_gradient=True, loss=loss,
                           optimizer=optimizer)
        call(library.cn_session_create, byref(self.session), self.model, opts)

    def __del__(self):
        library.cn_session_free(self.session)
        library.cn_model_free(self.model)

    def tensors(self, function, owner):
        found, p = {}, Parameter()
        while function(owner, len(found), byref(p)):
            found[p.name.decode()] = p.value.array()
        return found

    def parameters(self):
        return self.tensors(library.cn_model_parameter, self.model)

    def gradients(self):
        return self.tensors(library.cn_gradient, self.session)

    def run(self, x, y):
        """Forward, loss and backward; returns output, loss and gradient of x."""
        loss = c_double()
        call(library.cn_forward, self.session, byref(tensor(x)))
        output = library.cn_output(self.session).array().copy()
        call(library.cn_loss, self.session, byref(tensor(y)), byref(loss))
        call(library.cn_backward, self.session)
        return output, loss.value, library.cn_input_gradient(self.session).array()

    def predict(self, x):
        """The output as a session that does not train finds it."""
        session = c_void_p()
        call(library.cn_session_create, byref(session), self.model, SessionOpts(batch=self.batch))
        call(library.cn_forward, session, byref(tensor(x)))
        output = library.cn_output(session).array().copy()
        library.cn_session_free(session)
        return output

    def save(self, path):
        call(library.cn_model_save, self.model, path.encode())


# ---- comparing

failures = 0


def compare(what, ours, theirs, tolerance):
    """|ours - theirs| against the larger of 1e-10 and the root of the mean square of theirs."""
    global failures
    theirs = np.asarray(theirs)
    if np.shape(ours) != theirs.shape:
        error = np.inf
    else:
        error = np.abs(ours - theirs).max() / max(np.sqrt(np.mean(theirs**2)), 1e-10)
    if not error <= tolerance:
        failures += 1
        print(f"{what}: off by {error:.1e}, expected at most {tolerance:.0e}")
    return error
