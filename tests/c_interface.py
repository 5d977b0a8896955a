"""The C interface as include/convnet.h declares it, in ctypes, for the programs beside this one.

Loads the library that the program's first argument names.
"""
import ctypes
import os
import sys
from ctypes import byref, c_double, c_int, c_void_p

import numpy as np

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(SOURCE, "python"))
import interface  # noqa: E402

C = interface.namespace(os.path.join(SOURCE, "include", "convnet.h"))
Error, Tensor, Parameter = C["cn_error"], C["cn_tensor"], C["cn_parameter"]
Optimizer, LossOpts, SessionOpts = C["cn_optimizer"], C["cn_loss_opts"], C["cn_session_opts"]
F32, I32 = C["CN_DTYPE_F32"], C["CN_DTYPE_I32"]
CROSS_ENTROPY, BINARY = C["CN_LOSS_CROSS_ENTROPY"], C["CN_LOSS_BINARY_CROSS_ENTROPY"]
SQUARED = C["CN_LOSS_MEAN_SQUARED_ERROR"]
ADAM, SGD, ADAMW, RMSPROP = C["CN_OPTIMIZER_ADAM"], C["CN_OPTIMIZER_SGD"], C["CN_OPTIMIZER_ADAMW"], C["CN_OPTIMIZER_RMSPROP"]

library = C["declare"](ctypes.CDLL(sys.argv[1]))


def array(t):
    """A float32 array over a tensor's memory."""
    shape = tuple(t.shape[: t.rank])
    size = int(np.prod(shape))
    return np.ctypeslib.as_array((ctypes.c_float * size).from_address(t.data)).reshape(shape)


def call(function, *arguments):
    error = Error()
    if function(*arguments, byref(error)) != 0:
        sys.exit(f"{function.__name__}: {error.text.decode()}")


def tensor(values):
    assert values.flags.c_contiguous
    t = Tensor(F32 if values.dtype == np.float32 else I32, values.ndim)
    t.shape[: values.ndim] = values.shape
    t.data = values.ctypes.data
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
        call(library.cn_session_create, byref(self.session), self.model, byref(opts))

    def __del__(self):
        library.cn_session_free(self.session)
        library.cn_model_free(self.model)

    def tensors(self, function, owner):
        found, p = {}, Parameter()
        while function(owner, len(found), byref(p)):
            found[p.name.decode()] = array(p.value)
        return found

    def parameters(self):
        return self.tensors(library.cn_model_parameter, self.model)

    def gradients(self):
        return self.tensors(library.cn_session_gradient, self.session)

    def run(self, x, y):
        """Forward, loss and backward; returns output, loss and gradient of x."""
        loss = c_double()
        call(library.cn_session_forward, self.session, byref(tensor(x)))
        output = array(library.cn_session_output(self.session)).copy()
        call(library.cn_session_loss, self.session, byref(tensor(y)), byref(loss))
        call(library.cn_session_backward, self.session)
        return output, loss.value, array(library.cn_session_input_gradient(self.session))

    def predict(self, x):
        """The output as a session that does not train finds it."""
        session = c_void_p()
        call(library.cn_session_create, byref(session), self.model,
             byref(SessionOpts(batch=self.batch)))
        call(library.cn_session_forward, session, byref(tensor(x)))
        output = array(library.cn_session_output(session)).copy()
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
