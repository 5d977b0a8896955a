"""The same networks for PyTorch, onnxruntime and ncnn, for bench/networks.py.

A network is what our model file says: its graph becomes a PyTorch module with the same parameters,
which PyTorch's own exporter writes for onnxruntime, and pnnx for ncnn. All compute in float32.
"""
import io
import os
import shutil
import subprocess
import sys

import numpy as np


def missing(name, why):
    print(f"skipped: {name}: {why}", file=sys.stderr)


def load(name):
    try:
        return __import__(name)
    except ImportError as why:
        missing(name, why)
        return None


torch, onnxruntime, ncnn = load("torch"), load("onnxruntime"), load("ncnn")
if onnxruntime and not load("onnx"):
    onnxruntime = None
PNNX = shutil.which("pnnx", path=os.path.dirname(sys.executable) + ":" + os.environ["PATH"])
if ncnn and not PNNX:
    missing("ncnn", "its converter pnnx is not installed")
    ncnn = None


def versions():
    return {m.__name__: m.__version__ for m in (torch, onnxruntime, ncnn) if m}


# ---- our graph as a PyTorch module


def filters_of(weight):
    """(f, f, n_C_prev, n_C) as (n_C, n_C_prev, f, f)."""
    return weight.transpose(3, 2, 0, 1)


def columns_of(weight, x):
    """(n_H n_W n_C, units) as (units, n_C n_H n_W), for x of PyTorch's layout."""
    if x.dim() == 4:
        channels, height, width = x.shape[1:]
        weight = weight.reshape(height, width, channels, -1).transpose(2, 0, 1, 3)
        weight = weight.reshape(height * width * channels, -1)
    return weight.T


def symmetric(layer):
    """The zeros above and left of the image, which are as many as those below and right."""
    if layer.get("pad") == "same":
        if layer.get("stride", [1, 1]) != [1, 1] or layer["kernel"][0] % 2 == 0:
            sys.exit(f"peers: {layer['name']}: same padding that is not symmetric")
        return [(f - 1) // 2 for f in layer["kernel"]]
    top, left, bottom, right = layer.get("pads", [0, 0, 0, 0])
    if (top, left) != (bottom, right):
        sys.exit(f"peers: {layer['name']}: padding that is not symmetric")
    return [top, left]


def convolution(layer, x, parameters, in_place):
    weight, channels = filters_of(parameters["weight"]), x.shape[1]
    groups = channels // weight.shape[1]
    module = torch.nn.Conv2d(channels, weight.shape[0], layer["kernel"], layer.get("stride", 1),
                             symmetric(layer), groups=groups, bias="bias" in parameters)
    return module, dict(parameters, weight=weight)


def batch_norm(layer, x, parameters, in_place):
    return torch.nn.BatchNorm2d(x.shape[1]), parameters


def dense(layer, x, parameters, in_place):
    weight = columns_of(parameters["weight"], x)
    linear = torch.nn.Linear(weight.shape[1], weight.shape[0])
    module = torch.nn.Sequential(torch.nn.Flatten(), linear) if x.dim() == 4 else linear
    where = "1." if x.dim() == 4 else ""
    return module, {where + "weight": weight, where + "bias": parameters["bias"]}


def max_pool(layer, x, parameters, in_place):
    return torch.nn.MaxPool2d(layer["size"], layer.get("stride"), symmetric(layer)), {}


class Add(torch.nn.Module if torch else object):
    def __init__(self, in_place):
        super().__init__()
        self.in_place = in_place

    def forward(self, a, b):
        return a.add_(b) if self.in_place else a + b


MODULES = {
    "conv2d": convolution, "depthwise_conv2d": convolution, "batch_norm": batch_norm,
    "dense": dense, "max_pool": max_pool,
    "relu": lambda layer, x, parameters, in_place: (torch.nn.ReLU(in_place), {}),
    "relu6": lambda layer, x, parameters, in_place: (torch.nn.ReLU6(in_place), {}),
    "add": lambda layer, x, parameters, in_place: (Add(in_place), {}),
    "dropout": lambda layer, x, parameters, in_place: (torch.nn.Dropout(layer["rate"]), {}),
    "softmax": lambda layer, x, parameters, in_place: (torch.nn.Softmax(1), {}),
    "global_average_pool":
        lambda layer, x, parameters, in_place: (torch.nn.AdaptiveAvgPool2d(1), {}),
}


def set_state(module, parameters):
    state = {name: torch.from_numpy(np.array(value)) for name, value in parameters.items()}
    expected = {n for n in module.state_dict() if not n.endswith("num_batches_tracked")}
    if set(state) != expected:
        sys.exit(f"peers: parameters {sorted(state)}, expected {sorted(expected)}")
    module.load_state_dict(state, strict=False)


class Net(torch.nn.Module if torch else object):
    """The layers of the graph in their order; a value is let go after its last reader."""

    def __init__(self, graph, parameters):
        super().__init__()
        self.layers, self.sources, self.done = torch.nn.ModuleList(), [], []
        height, width, channels = graph["input"]
        numbers, values = {"input": 0}, [torch.zeros(1, channels, height, width)]
        readers = [name for layer in graph["layers"] for name in layer["inputs"]]
        with torch.no_grad():
            for layer in graph["layers"]:
                first = layer["inputs"][0]
                alone = readers.count(first) == 1 and first != "input"
                own = {name.split(".")[1]: value for name, value in parameters.items()
                       if name.split(".")[0] == layer["name"]}
                module, state = MODULES[layer["type"]](layer, values[numbers[first]], own, alone)
                set_state(module, state)
                self.layers.append(module.eval())
                self.sources.append([numbers[name] for name in layer["inputs"]])
                numbers[layer["name"]] = len(values)
                values.append(module(*(values[i] for i in self.sources[-1])).clone())
        last = {i: n for n, sources in enumerate(self.sources) for i in sources}
        self.done = [[i for i in last if last[i] == n] for n in range(len(self.layers))]

    def forward(self, x):
        values = [x]
        for layer, sources, done in zip(self.layers, self.sources, self.done):
            values.append(layer(*(values[i] for i in sources)))
            for i in done:
                values[i] = None
        return values[-1]


def torch_net(graph, parameters, training):
    """For training without the softmax, which cross-entropy has in it."""
    if training:
        graph = dict(graph, layers=[n for n in graph["layers"] if n["type"] != "softmax"])
    return Net(graph, parameters).train(training)


def trained_parameters(parameters):
    return sum(v.size for n, v in parameters.items() if ".running_" not in n)


# ---- PyTorch


def layouts(x):
    given = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
    return (("nchw", torch.contiguous_format, given),
            ("nhwc", torch.channels_last, given.to(memory_format=torch.channels_last)))


def torch_trainers(graph, parameters, x, labels, compiled):
    """PyTorch's training steps, in both layouts of memory; each returns the loss."""
    wanted = torch.from_numpy(labels.astype(np.int64))
    for name, layout, given in layouts(x):
        for mode in ("", " compiled") if compiled else ("",):
            net = torch_net(graph, parameters, True).to(memory_format=layout)
            sgd = torch.optim.SGD(net.parameters(), lr=1e-4, momentum=0.9)
            run = torch.compile(net) if mode else net

            def step(run=run, sgd=sgd, given=given):
                sgd.zero_grad(set_to_none=True)
                loss = torch.nn.functional.cross_entropy(run(given), wanted)
                loss.backward()
                sgd.step()
                return loss.item()

            yield f"PyTorch {name}{mode}", step


def torch_runners(graph, parameters, x, compiled):
    for name, layout, given in layouts(x):
        net = torch_net(graph, parameters, False).to(memory_format=layout)
        yield f"PyTorch {name}", lambda net=net, given=given: net(given)
        frozen = torch.jit.freeze(torch.jit.trace(net, given))
        frozen = torch.jit.optimize_for_inference(frozen)
        yield f"PyTorch {name} frozen", lambda net=frozen, given=given: net(given)
        if compiled:
            fast = torch.compile(net)
            yield f"PyTorch {name} compiled", lambda net=fast, given=given: net(given)


# ---- onnxruntime and ncnn


def onnx_runner(graph, parameters, x, threads):
    given = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    file = io.BytesIO()
    torch.onnx.export(torch_net(graph, parameters, False), (torch.from_numpy(given),), file,
                      dynamo=False, input_names=["x"], opset_version=17)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(file.getvalue(), options,
                                           providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": given})[0]


def ncnn_runner(graph, parameters, x, threads, folder):
    given = np.ascontiguousarray(x.transpose(0, 3, 1, 2))
    path = os.path.join(folder, "net")
    torch.jit.trace(torch_net(graph, parameters, False), torch.from_numpy(given)).save(f"{path}.pt")
    shape = ",".join(map(str, given.shape))
    found = subprocess.run([PNNX, f"{path}.pt", f"inputshape=[{shape}]", "fp16=0"], cwd=folder,
                           capture_output=True, text=True)
    net = ncnn.Net()
    net.opt.num_threads = threads
    for name in dir(net.opt):
        if name.startswith(("use_fp16", "use_bf16", "use_int8")):
            setattr(net.opt, name, False)
    if (found.returncode != 0 or net.load_param(f"{path}.ncnn.param") != 0
            or net.load_model(f"{path}.ncnn.bin") != 0):
        sys.exit(f"peers: pnnx: {found.stderr[-500:]}")
    image = ncnn.Mat(given[0]).clone()

    def run():
        extractor = net.create_extractor()
        extractor.input("in0", image)
        return np.array(extractor.extract("out0")[1])

    return run


def runners(graph, parameters, x, threads, compiled, folder):
    """(name, function that runs x) of every library there is."""
    if torch:
        yield from torch_runners(graph, parameters, x, compiled)
    if torch and onnxruntime:
        yield "onnxruntime", onnx_runner(graph, parameters, x, threads)
    if torch and ncnn:
        yield "ncnn", ncnn_runner(graph, parameters, x, threads, folder)
