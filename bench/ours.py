"""The library through its C interface, as include/convnet.h declares it, for bench/networks.py."""
import ctypes
import json
import os
import sys
import tempfile
from ctypes import byref, c_double, c_int, c_void_p

import numpy as np

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..")
sys.path.insert(0, os.path.join(SOURCE, "python"))
import interface  # noqa: E402

C = interface.namespace(os.path.join(SOURCE, "include", "convnet.h"))
Error, Tensor, Optimizer, SessionOpts = (
    C[f"cn_{name}"] for name in ("error", "tensor", "optimizer", "session_opts"))


def open_library(path):
    return C["declare"](ctypes.CDLL(path))


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
    t = Tensor(C["CN_DTYPE_F32" if values.dtype == np.float32 else "CN_DTYPE_I32"], values.ndim)
    t.shape[: values.ndim] = values.shape
    t.data = values.ctypes.data
    return t


def read_model_file(path):
    """A model file's graph, and its parameters by name (docs/models.md)."""
    with open(path, "rb") as file:
        data = file.read()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    graph = json.loads(header.pop("__metadata__")["convnet"])["graph"]
    parameters = {}
    for name, about in header.items():
        begin, end = about["data_offsets"]
        flat = np.frombuffer(data, np.float32, (end - begin) // 4, start + begin)
        parameters[name] = flat.reshape(about["shape"])
    return graph, parameters


class Model:
    """A network of the library's, its sessions, and what it runs."""

    def __init__(self, library, text, shape, classes, threads):
        self.api, self.model, self.threads, self.sessions = library, c_void_p(), threads, []
        call(library.cn_model_parse, byref(self.model), text.encode(), (c_int * 3)(*shape), classes,
             1)

    def saved(self):
        """Its graph and its parameters, as a model file has them."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "model.safetensors")
            call(self.api.cn_model_save, self.model, path.encode())
            return read_model_file(path)

    def session(self, batch, training):
        opts = SessionOpts(batch=batch, threads=self.threads, training=training,
                           optimizer=Optimizer(kind=C["CN_OPTIMIZER_SGD"], momentum=0.9))
        session = c_void_p()
        call(self.api.cn_session_create, byref(session), self.model, byref(opts))
        self.sessions.append(session)
        return session

    def gather_statistics(self, x, times):
        """Batch norms see x, so that activations keep their scale through a deep network."""
        session = self.session(len(x), True)
        for _ in range(times):
            call(self.api.cn_session_forward, session, byref(tensor(x)))
        self.close_sessions()

    def runner(self, x):
        """A function that runs x, and what it finds."""
        session, error, x = self.session(len(x), False), byref(Error()), byref(tensor(x))
        forward, output = self.api.cn_session_forward, self.api.cn_session_output

        def run():
            if forward(session, x, error) != 0:
                sys.exit(error._obj.text.decode())

        run()
        return run, array(output(session)).copy()

    def trainer(self, x, labels):
        """A function that takes a step of training and returns the loss."""
        session, error = self.session(len(x), True), byref(Error())
        x, labels, loss, rate = byref(tensor(x)), byref(tensor(labels)), byref(c_double()), 1e-4
        library = self.api

        def step():
            if (library.cn_session_forward(session, x, error)
                    or library.cn_session_loss(session, labels, loss, error)
                    or library.cn_session_backward(session, error)
                    or library.cn_session_step(session, rate, error)):
                sys.exit(error._obj.text.decode())
            return loss._obj.value

        return step

    def close_sessions(self):
        for session in self.sessions:
            self.api.cn_session_free(session)
        self.sessions = []

    def close(self):
        self.close_sessions()
        self.api.cn_model_free(self.model)
