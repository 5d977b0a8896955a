"""Every network of the zoo and every type of layer, exported to ONNX: valid for onnx.checker, and
onnxruntime computes what `convnet run` does, and read again they give the same bits.

    onnx_export.py CONVNET FOLDER [NETWORK...]

Weights and statistics are random: those that a network begins with would hide half of what can go
wrong. Networks that take long run only where they are named, or with "all".
"""
import json
import os
import struct
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime

CONVNET, FOLDER = sys.argv[1:3]
OPSET = onnx.defs.onnx_opset_version()

# name: shape; the first are quick
ZOO = {"lenet5": "28x28x1", "signs": "64x64x3", "happy": "64x64x3", "digits": "8x8x1",
       "mnist-fast": "28x28x1", "signs-fast": "64x64x3", "resnet20": "32x32x3"}
SLOW = {"cifar-fast": "32x32x3", "vgg-small": "32x32x3", "resnet18": "224x224x3",
        "resnet18-cifar": "32x32x3", "resnet50": "224x224x3", "resnet50-course": "64x64x3",
        "mobilenet-v1": "224x224x3", "mobilenet-v2": "224x224x3", "unet": "128x128x3"}

SHAPE = "9x8x6"
with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnx_layers.txt"),
          encoding="ascii") as lines:
    LAYERS = [line.strip() for line in lines if not line.startswith("#")]


def convnet(*arguments):
    done = subprocess.run([CONVNET, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"convnet {' '.join(arguments)}: {done.stderr}")


def randomize(path, random, last=1):
    """Other weights for a model file, of a size that keeps its activations near 1, except that those of
    the last dense layer are times `last`."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    matrices = [name for name, tensor in header.items() if len(tensor["shape"]) == 2]
    for name, tensor in header.items():
        begin, end = tensor["data_offsets"]
        shape = tensor["shape"]
        values = random.standard_normal(shape)
        if len(shape) > 1:
            values *= np.sqrt(2 / np.prod(shape[:-1])) * (last if name in matrices[-1:] else 1)
        elif name.endswith("weight") or name.endswith("var"):
            values = 1 + 0.2 * random.random(shape)
        else:
            values *= 0.1
        data[8 + size + begin:8 + size + end] = values.astype("<f4").tobytes()
    with open(path, "wb") as file:
        file.write(data)


# Models whose own file, read again, adds the same numbers in another order (docs/onnx.md).
ANOTHER_ORDER = ["flatten, transpose 4x9, dense 3"]


def read_back(graph, x_file, y_file, ours):
    """How far the file, read by convnet again, is from the model that it was written from."""
    convnet("run", graph, x_file, "--out", y_file)
    again = np.load(y_file)
    assert again.size == ours.size, (again.shape, ours.shape)
    return np.abs(again.reshape(ours.shape) - ours).max() / max(np.abs(ours).max(), 1e-30)


def run_both(text, shape, random, batch, last):
    """Our output, that of the file read again, and onnxruntime's, from new weights."""
    model, graph, x_file, y_file = (f"{FOLDER}/{name}" for name in
                                    ("model.safetensors", "model.onnx", "x.npy", "y.npy"))
    convnet("convert", text, model, "--shape", shape, "--seed", "3")
    randomize(model, random, last)
    convnet("convert", model, graph)
    exported = onnx.load(graph)
    onnx.checker.check_model(exported, full_check=True)
    assert exported.opset_import[0].version == OPSET, exported.opset_import
    n = [int(extent) for extent in shape.split("x")]
    x = random.standard_normal((batch, *n)).astype(np.float32)
    np.save(x_file, x)
    convnet("run", model, x_file, "--out", y_file)
    ours = np.load(y_file)
    back = read_back(graph, x_file, y_file, ours)
    if ours.ndim == 4:
        ours = ours.transpose(0, 3, 1, 2)
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    theirs, = session.run(None, {session.get_inputs()[0].name: x.transpose(0, 3, 1, 2)})
    assert theirs.shape == ours.shape, (theirs.shape, ours.shape)
    return ours, back, theirs, "softmax" in exported.graph.output[0].name


def check(text, shape, random, batch):
    last = 1
    ours, back, theirs, probabilities = run_both(text, shape, random, batch, last)
    while probabilities and theirs.min() < 1e-20:  # one is all but 1: smaller logits tell more
        last /= 30
        ours, back, theirs, _ = run_both(text, shape, random, batch, last)
    if back and text not in ANOTHER_ORDER:
        sys.exit(f"{text}: read again, it differs by {back:.1e} of the output's range")
    if probabilities:
        ours, theirs = np.log(ours), np.log(theirs)
    error = np.abs(ours - theirs).max() / max(np.abs(theirs).max(), 1e-30)
    print(f"{error:8.1e} {back:8.1e}  {text}", flush=True)
    return max(error, back)


def main():
    wanted = sys.argv[3:]
    networks = {**ZOO, **SLOW} if wanted == ["all"] else \
        {name: {**ZOO, **SLOW}[name] for name in wanted} if wanted else ZOO
    random = np.random.default_rng(1)
    rows = [] if wanted and wanted != ["all"] else [(text, SHAPE) for text in LAYERS + ANOTHER_ORDER]
    errors = {text: check(text, shape, random, 3) for text, shape in rows + list(networks.items())}
    worst = max(errors, key=errors.get)
    if not errors[worst] < 1e-4:
        sys.exit(f"{worst}: differs by {errors[worst]:.1e} of the output's range")


main()
