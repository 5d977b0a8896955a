"""The library through its C interface, as include/convnet.h declares it, for bench/networks.py."""
import ctypes
import json
import os
import subprocess
import sys
import tempfile
from ctypes import (POINTER, Structure, byref, c_bool, c_char, c_char_p, c_double, c_int, c_uint64,
                    c_void_p)

import numpy as np

F32, I32, SGD = 0, 2, 1


class Error(Structure):
    _fields_ = [("status", c_int), ("text", c_char * 256)]


class Tensor(Structure):
    _fields_ = [("dtype", c_int), ("rank", c_int), ("shape", c_int * 4), ("data", c_void_p),
                ("owned", c_void_p)]

    def array(self):
        shape = tuple(self.shape[: self.rank])
        size = int(np.prod(shape))
        return np.ctypeslib.as_array((ctypes.c_float * size).from_address(self.data)).reshape(shape)


class LossOpts(Structure):
    _fields_ = [("kind", c_int), ("label_smoothing", c_double), ("class_weights", c_void_p)]


class Optimizer(Structure):
    _fields_ = [("kind", c_int), ("momentum", c_double), ("dampening", c_double),
                ("nesterov", c_bool), ("beta1", c_double), ("beta2", c_double),
                ("alpha", c_double), ("epsilon", c_double), ("weight_decay", c_double),
                ("decoupled", c_bool), ("decay_all", c_bool), ("clip_norm", c_double),
                ("clip_value", c_double)]


class SessionOpts(Structure):
    _fields_ = [("batch", c_int), ("threads", c_int), ("training", c_bool), ("seed", c_uint64),
                ("input_gradient", c_bool), ("no_winograd", c_bool), ("precision", c_int),
                ("loss", LossOpts), ("optimizer", Optimizer), ("backend", c_char_p)]


MIRRORED = {"cn_error": Error, "cn_tensor": Tensor, "cn_loss_opts": LossOpts,
            "cn_optimizer": Optimizer, "cn_session_opts": SessionOpts}


def check_structures():
    """The compiler says whether the classes above are still the header's structures."""
    lines = ["#include <stddef.h>", '#include "convnet.h"']
    for name, mirror in MIRRORED.items():
        lines.append(f'_Static_assert(sizeof({name}) == {ctypes.sizeof(mirror)}, "{name}");')
        lines += [f"_Static_assert(offsetof({name}, {field}) == {getattr(mirror, field).offset}, "
                  f'"{name}.{field}");' for field, _ in mirror._fields_]
    include = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "include")
    command = [os.environ.get("CC", "cc"), "-std=c11", "-fsyntax-only", "-I", include, "-xc", "-"]
    found = subprocess.run(command, input="\n".join(lines), text=True, stderr=subprocess.PIPE)
    if found.returncode != 0:
        sys.exit(f"bench/ours.py does not fit include/convnet.h:\n{found.stderr}")


def open_library(path):
    check_structures()
    library = ctypes.CDLL(path)
    library.cn_output.restype = Tensor
    library.cn_output.argtypes = [c_void_p]
    library.cn_isa.restype = library.cn_version.restype = c_char_p
    library.cn_step.argtypes = [c_void_p, c_double, POINTER(Error)]
    library.cn_model_parse.argtypes = [POINTER(c_void_p), c_char_p, POINTER(c_int), c_int,
                                       c_uint64, POINTER(Error)]
    return library


def call(function, *arguments):
    error = Error()
    if function(*arguments, byref(error)) != 0:
        sys.exit(f"{function.__name__}: {error.text.decode()}")


def tensor(array):
    t = Tensor(F32 if array.dtype == np.float32 else I32, array.ndim)
    t.shape[: array.ndim] = array.shape
    t.data = array.ctypes.data
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
                           optimizer=Optimizer(kind=SGD, momentum=0.9))
        session = c_void_p()
        call(self.api.cn_session_create, byref(session), self.model, opts)
        self.sessions.append(session)
        return session

    def gather_statistics(self, x, times):
        """Batch norms see x, so that activations keep their scale through a deep network."""
        session = self.session(len(x), True)
        for _ in range(times):
            call(self.api.cn_forward, session, byref(tensor(x)))
        self.close_sessions()

    def runner(self, x):
        """A function that runs x, and what it finds."""
        session, error, x = self.session(len(x), False), byref(Error()), byref(tensor(x))
        forward, output = self.api.cn_forward, self.api.cn_output

        def run():
            if forward(session, x, error) != 0:
                sys.exit(error._obj.text.decode())

        run()
        return run, output(session).array().copy()

    def trainer(self, x, labels):
        """A function that takes a step of training and returns the loss."""
        session, error = self.session(len(x), True), byref(Error())
        x, labels, loss, rate = byref(tensor(x)), byref(tensor(labels)), byref(c_double()), 1e-4
        library = self.api

        def step():
            if (library.cn_forward(session, x, error)
                    or library.cn_loss(session, labels, loss, error)
                    or library.cn_backward(session, error)
                    or library.cn_step(session, rate, error)):
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
