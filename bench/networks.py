#!/usr/bin/env python3
"""Whole networks by convnet, PyTorch and onnxruntime, in one process, turn by turn.

    script/bench networks [--network NAME] [--threads N] [--repeats N] [--json] [--no-compile]

Training steps (forward, cross-entropy, backward, SGD with momentum 0.9) of LeNet-5 and of a small
VGG for 32 x 32 pictures, 64 at once; and their inference, one picture at a time, and VGG-16's. All
run the same function: every library gets the same weights, and the outputs are compared first.

In every repeat each contender runs once, for at least 10 ms, so that a ratio compares neighbours
in time; what counts is the median of the repeats' ratios. One thread is timed by the time that it
had a processor, several by the clock on the wall. What is not installed is left out, and named.
"""
import argparse
import ctypes
import json
import os
import statistics
import sys
import time
import warnings
from ctypes import POINTER, byref, c_bool, c_char, c_char_p, c_double, c_int, c_uint64, c_void_p

warnings.filterwarnings("ignore")

# ---- networks: lists of layers, from which each library builds its own

LENET5 = [("conv", 6, 5, 2), ("relu",), ("pool",), ("conv", 16, 5, 0), ("relu",), ("pool",),
          ("dense", 120), ("relu",), ("dense", 84), ("relu",), ("dense", 10)]


def vgg(pairs, dense):
    layers = []
    for filters, count in pairs:
        layers += [("conv", filters, 3, 1), ("relu",)] * count + [("pool",)]
    for units in dense[:-1]:
        layers += [("dense", units), ("relu",)]
    return layers + [("dense", dense[-1])]


SMALL_VGG = vgg([(64, 2), (128, 2), (256, 2)], [10])
VGG16 = vgg([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], [4096, 4096, 1000])

# name, layers, (n_H, n_W, n_C), batch to train with (0: not at all)
NETWORKS = [("lenet5", LENET5, (28, 28, 1), 64), ("small_vgg", SMALL_VGG, (32, 32, 3), 64),
            ("vgg16", VGG16, (224, 224, 3), 0)]


def missing(name, why):
    print(f"skipped: {name}: {why}", file=sys.stderr)


# ---- convnet, through the C interface as include/convnet.h declares it


class Error(ctypes.Structure):
    _fields_ = [("status", c_int), ("text", c_char * 256)]


class Tensor(ctypes.Structure):
    _fields_ = [("dtype", c_int), ("rank", c_int), ("shape", c_int * 4), ("data", c_void_p),
                ("owned", c_void_p)]

    def array(self):
        shape = tuple(self.shape[: self.rank])
        size = int(np.prod(shape))
        return np.ctypeslib.as_array((ctypes.c_float * size).from_address(self.data)).reshape(shape)


class Parameter(ctypes.Structure):
    _fields_ = [("name", c_char_p), ("value", Tensor)]


class Optimizer(ctypes.Structure):
    _fields_ = [("kind", c_int), ("momentum", c_double), ("beta1", c_double),
                ("beta2", c_double), ("epsilon", c_double)]


class SessionOpts(ctypes.Structure):
    _fields_ = [("batch", c_int), ("threads", c_int), ("training", c_bool),
                ("input_gradient", c_bool), ("no_winograd", c_bool), ("loss", c_int),
                ("optimizer", Optimizer)]


F32, I32, SGD = 0, 2, 1


def open_library(path):
    library = ctypes.CDLL(path)
    library.cn_output.restype = Tensor
    library.cn_isa.restype = library.cn_version.restype = c_char_p
    library.cn_output.argtypes = [c_void_p]
    library.cn_model_parameter.restype = c_bool
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


def text_of(layers):
    """The text form of docs/models.md."""
    words = {"relu": lambda: "relu", "pool": lambda: "maxpool 2",
             "conv": lambda filters, f, pad: f"conv {filters} {f}x{f} pads {pad}",
             "dense": lambda units: f"dense {units}"}
    return ", ".join(words[kind](*options) for kind, *options in layers)


class Ours:
    def __init__(self, library, layers, shape, threads):
        self.api, self.model, self.threads = library, c_void_p(), threads
        call(library.cn_model_parse, byref(self.model), text_of(layers).encode(),
             (c_int * 3)(*shape), 10, 1)
        self.sessions = []

    def parameters(self):
        """Copies. Sessions of this model pack its weights at every forward from now on."""
        found, p = [], Parameter()
        while self.api.cn_model_parameter(self.model, len(found), byref(p)):
            found.append(p.value.array().copy())
        return found

    def session(self, batch, training):
        opts = SessionOpts(batch=batch, threads=self.threads, training=training,
                           optimizer=Optimizer(kind=SGD, momentum=0.9))
        session = c_void_p()
        call(self.api.cn_session_create, byref(session), self.model, opts)
        self.sessions.append(session)
        return session

    def runner(self, x):
        session, error, x = self.session(len(x), False), byref(Error()), byref(tensor(x))
        forward, output = self.api.cn_forward, self.api.cn_output

        def run():
            if forward(session, x, error) != 0:
                sys.exit(error._obj.text.decode())

        run()
        return run, output(session).array().copy()

    def trainer(self, x, labels):
        session, error = self.session(len(x), True), byref(Error())
        x, labels, loss, rate = byref(tensor(x)), byref(tensor(labels)), byref(c_double()), 1e-4
        library = self.api

        def step():
            if (library.cn_forward(session, x, error)
                    or library.cn_loss(session, labels, loss, error)
                    or library.cn_backward(session, error)
                    or library.cn_step(session, rate, error)):
                sys.exit(error._obj.text.decode())

        return step

    def close(self):
        for session in self.sessions:
            self.api.cn_session_free(session)
        self.api.cn_model_free(self.model)


# ---- the others


def peers_weights(layers, shape, parameters):
    """Our parameters in the others' order: filters (n_C, n_C_prev, f, f), dense (n_out, n_in) of
    pictures flattened channel by channel."""
    h, w, c = shape
    picture, out, rest = True, [], iter(parameters)
    for kind, *options in layers:
        if kind == "conv":
            filters, f, pad = options
            out += [next(rest).transpose(3, 2, 0, 1), next(rest)]
            h, w, c = h + 2 * pad - f + 1, w + 2 * pad - f + 1, filters
        elif kind == "pool":
            h, w = h // 2, w // 2
        elif kind == "dense":
            weight = next(rest)
            if picture:
                weight = weight.reshape(h, w, c, -1).transpose(2, 0, 1, 3).reshape(h * w * c, -1)
            out += [weight.T, next(rest)]
            picture = False
    return [np.ascontiguousarray(a, dtype=np.float32) for a in out]


def torch_net(layers, weights, last):
    modules, flat, rest, channels = [], False, iter(weights), None
    for kind, *options in layers:
        if kind == "conv":
            weight, bias = next(rest), next(rest)
            module = torch.nn.Conv2d(weight.shape[1], options[0], options[1], padding=options[2])
        elif kind == "dense":
            if not flat:
                modules.append(torch.nn.Flatten())
                flat = True
            weight, bias = next(rest), next(rest)
            module = torch.nn.Linear(weight.shape[1], options[0])
        else:
            modules.append(torch.nn.ReLU(inplace=True) if kind == "relu" else torch.nn.MaxPool2d(2))
            continue
        with torch.no_grad():
            module.weight.copy_(torch.from_numpy(weight))
            module.bias.copy_(torch.from_numpy(bias))
        modules.append(module)
    return torch.nn.Sequential(*modules, *last)


def torch_trainers(layers, weights, x, labels):
    """PyTorch's training steps, in both layouts of memory."""
    for name, layout in (("nchw", torch.contiguous_format), ("nhwc", torch.channels_last)):
        net = torch_net(layers, weights, []).to(memory_format=layout).train()
        sgd = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9)
        given = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).to(memory_format=layout)
        wanted = torch.from_numpy(labels.astype(np.int64))

        def step(net=net, sgd=sgd, given=given, wanted=wanted):
            sgd.zero_grad(set_to_none=True)
            torch.nn.functional.cross_entropy(net(given), wanted).backward()
            sgd.step()

        yield f"PyTorch {name}", step


def torch_runners(layers, weights, x, compiled):
    for name, layout in (("nchw", torch.contiguous_format), ("nhwc", torch.channels_last)):
        net = torch_net(layers, weights, [torch.nn.Softmax(1)]).to(memory_format=layout).eval()
        given = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()).to(memory_format=layout)
        yield f"PyTorch {name}", lambda net=net, given=given: net(given)
        frozen = torch.jit.freeze(torch.jit.trace(net, given))
        frozen = torch.jit.optimize_for_inference(frozen)
        yield f"PyTorch {name} frozen", lambda net=frozen, given=given: net(given)
        if compiled:
            fast = torch.compile(net)
            yield f"PyTorch {name} compiled", lambda net=fast, given=given: net(given)


def onnx_bytes(layers, weights, shape):
    from onnx import TensorProto, helper, numpy_helper
    nodes, tensors, rest, at, flat = [], [], iter(weights), "x", False

    def add(kind, inputs, **attributes):
        nonlocal at
        name = f"v{len(nodes)}"
        nodes.append(helper.make_node(kind, [at, *inputs], [name], **attributes))
        at = name

    for kind, *options in layers:
        names = []
        if kind in ("conv", "dense"):
            names = [f"p{len(tensors)}", f"p{len(tensors) + 1}"]
            tensors += [numpy_helper.from_array(next(rest), n) for n in names]
        if kind == "conv":
            add("Conv", names, kernel_shape=[options[1]] * 2, pads=[options[2]] * 4)
        elif kind == "dense":
            if not flat:
                add("Flatten", [])
                flat = True
            add("Gemm", names, transB=1)
        elif kind == "relu":
            add("Relu", [])
        else:
            add("MaxPool", [], kernel_shape=[2, 2], strides=[2, 2])
    add("Softmax", [], axis=1)
    value = helper.make_tensor_value_info
    given = value("x", TensorProto.FLOAT, [1, shape[2], *shape[:2]])
    graph = helper.make_graph(nodes, "network", [given], [value(at, TensorProto.FLOAT, None)],
                              tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return model.SerializeToString()


def onnx_runners(layers, weights, shape, x, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(onnx_bytes(layers, weights, shape), options,
                                           providers=["CPUExecutionProvider"])
    given = {"x": np.ascontiguousarray(x.transpose(0, 3, 1, 2))}
    yield "onnxruntime", lambda: session.run(None, given)[0]


# ---- measuring


def calls_of(run, clock):
    run()
    run()
    start = clock()
    run()
    return int(0.01 / max(clock() - start, 1e-7)) + 1


def quartiles(values):
    ordered, n = sorted(values), len(values)
    return ordered[n // 4], statistics.median(ordered), ordered[n - 1 - n // 4]


def measure(contenders, clock, repeats):
    """{name: seconds of a call, one a repeat}"""
    calls = {name: calls_of(run, clock) for name, run in contenders.items()}
    seconds = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, run in contenders.items():
            start = clock()
            for _ in range(calls[name]):
                run()
            seconds[name].append((clock() - start) / calls[name])
    return seconds


def report(options, network, what, batch, seconds):
    ours = seconds["convnet"]
    for name, theirs in seconds.items():
        low, middle, high = quartiles([t / o for t, o in zip(theirs, ours)])
        median = statistics.median(theirs)
        if options.json:
            print(json.dumps({"event": "network", "network": network, "what": what, "batch": batch,
                              "threads": options.threads, "library": name, "seconds": median,
                              "images_per_second": batch / median, "ratio": [low, middle, high]}))
            continue
        spread = "" if name == "convnet" else f"  {middle:6.2f}  {low:.2f} to {high:.2f}"
        print(f"{network if name == 'convnet' else '':10} {what if name == 'convnet' else '':6}"
              f"{name:24} {1e3 * median:10.3f} ms {batch / median:10.0f} /s{spread}")
    best = min((n for n in seconds if n != "convnet"), key=lambda n: statistics.median(seconds[n]),
               default=None)
    if best and not options.json:
        print(f"{'':16} against the fastest other, {best}: "
              f"{statistics.median([t / o for t, o in zip(seconds[best], ours)]):.2f} times\n")
    sys.stdout.flush()


def agrees(name, output, expected):
    """Whether the contender computes what we compute; says so if not."""
    error = np.abs(np.asarray(output) - expected).max()
    if error > 1e-4:
        missing(name, f"its output differs from ours by {error:.1e}")
    return error <= 1e-4


def bench(options, library, clock, name, layers, shape, train_batch):
    draw = np.random.default_rng(1)
    ours = Ours(library, layers, shape, options.threads)
    twin = Ours(library, layers, shape, options.threads)  # the same seed, so the same weights
    weights = peers_weights(layers, shape, twin.parameters())
    twin.close()
    x = draw.standard_normal((1, *shape)).astype(np.float32)
    run, expected = ours.runner(x)
    contenders = {"convnet": run}
    with torch.no_grad() if torch else open(os.devnull):
        if torch:
            for peer, run in torch_runners(layers, weights, x, options.compile):
                if agrees(peer, run(), expected):
                    contenders[peer] = run
        if onnxruntime:
            for peer, run in onnx_runners(layers, weights, shape, x, options.threads):
                if agrees(peer, run(), expected):
                    contenders[peer] = run
        report(options, name, "run", 1, measure(contenders, clock, options.repeats))
    if train_batch:
        x = draw.standard_normal((train_batch, *shape)).astype(np.float32)
        labels = draw.integers(0, 10, train_batch).astype(np.int32)
        contenders = {"convnet": ours.trainer(x, labels)}
        if torch:
            contenders.update(torch_trainers(layers, weights, x, labels))
        report(options, name, "train", train_batch, measure(contenders, clock, options.repeats))
    ours.close()


def parse():
    parser = argparse.ArgumentParser(prog="script/bench networks", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("library", help=argparse.SUPPRESS)
    parser.add_argument("--network", default="", help="only networks whose name contains this")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--json", action="store_true", help="an object a line")
    parser.add_argument("--no-compile", dest="compile", action="store_false",
                        help="leave out torch.compile, which takes a minute to prepare")
    return parser.parse_args()


def main():
    options = parse()
    library = open_library(options.library)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    versions = {"convnet": f"{library.cn_version().decode()} ({library.cn_isa().decode()})"}
    for module in (torch, onnxruntime):
        if module:
            versions[module.__name__] = module.__version__
    if torch:
        torch.set_num_threads(options.threads)
    if options.json:
        print(json.dumps({"event": "machine", "threads": options.threads, **versions}))
    else:
        print(", ".join(f"{k} {v}" for k, v in versions.items()), f"; threads: {options.threads}\n")
    found = [n for n in NETWORKS if options.network in n[0]]
    if not found:
        sys.exit(f"networks: none is called {options.network}")
    for name, layers, shape, train_batch in found:
        bench(options, library, clock, name, layers, shape, train_batch)


def load(name):
    try:
        return __import__(name)
    except ImportError as why:
        missing(name, why)
        return None


if __name__ == "__main__":
    try:
        import numpy as np
    except ImportError as why:
        sys.exit(f"networks: needs numpy: {why}")
    torch, onnxruntime = load("torch"), load("onnxruntime")
    if onnxruntime and not load("onnx"):
        onnxruntime = None
    main()
