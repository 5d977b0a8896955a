"""ONNX networks of several inputs and outputs: `convnet run` computes what onnxruntime does, and the file
that `convnet convert` makes of each is valid, has the same inputs and outputs, and gives the same bits.

    onnx_ports.py CONVNET FOLDER
"""
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

CONVNET, FOLDER = sys.argv[1:3]
RANDOM = np.random.default_rng(5)
EXAMPLES = 3


def weight(name, *shape):
    return numpy_helper.from_array(RANDOM.normal(0, 0.3, shape).astype(np.float32), name)


def port(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs.split(), outputs.split(), **attributes)


def conv(x, y, w):
    return node("Conv", f"{x} {w}", y, pads=[1, 1, 1, 1])


# name: nodes, inputs, outputs, initializers
NETWORKS = {
    "two branches, an image and a table": (
        [conv("image", "z", "conv.weight"), node("Relu", "z", "a"), node("GlobalAveragePool", "a", "p"),
         node("Flatten", "p", "f"), node("Gemm", "table dense.weight", "d"), node("Relu", "d", "t"),
         node("Concat", "f t", "joined", axis=1), node("Gemm", "joined last.weight", "y")],
        [port("image", 3, 8, 6), port("table", 7)], [port("y", 2)],
        [weight("conv.weight", 4, 3, 3, 3), weight("dense.weight", 7, 5), weight("last.weight", 9, 2)]),
    "Siamese: one branch, twice": (
        [conv("left", "l", "w"), conv("right", "r", "w"), node("Flatten", "l", "lf"),
         node("Flatten", "r", "rf"), node("Gemm", "lf d", "u"), node("Gemm", "rf d", "v"),
         node("Sub", "u v", "s"), node("Abs", "s", "distance")],
        [port("left", 2, 5, 4), port("right", 2, 5, 4)], [port("distance", 3)],
        [weight("w", 3, 2, 3, 3), weight("d", 60, 3)]),
    "heads: boxes and classes of an image": (
        [conv("x", "z", "stem.weight"), node("Relu", "z", "a"), conv("a", "boxes", "boxes.weight"),
         conv("a", "c", "classes.weight"), node("Transpose", "c", "t", perm=[0, 2, 3, 1]),
         node("Reshape", "t rows", "r"), node("Softmax", "r", "classes", axis=-1)],
        [port("x", 3, 6, 5)], [port("boxes", 4, 6, 5), port("classes", 60, 3)],
        [weight("stem.weight", 6, 3, 3, 3), weight("boxes.weight", 4, 6, 3, 3),
         weight("classes.weight", 6, 6, 3, 3), numpy_helper.from_array(np.array([0, 60, 3]), "rows")]),
    "an output within another, and one twice": (
        [conv("x", "features", "w"), node("Relu", "features", "a"), node("Identity", "a", "again"),
         node("GlobalAveragePool", "a", "g"), node("Flatten", "g", "y")],
        [port("x", 3, 6, 5)],
        [port("features", 4, 6, 5), port("a", 4, 6, 5), port("again", 4, 6, 5), port("y", 4)],
        [weight("w", 4, 3, 3, 3)]),
    "inputs as outputs, and one that nothing reads": (
        [node("Sigmoid", "row", "y"), node("Relu", "image", "a")],
        [port("unused", 3), port("image", 1, 4, 3), port("row", 5), port("point", 6, 1, 1)],
        [port("row", 5), port("y", 5), port("image", 1, 4, 3), port("a", 1, 4, 3), port("point", 6, 1, 1)], []),
    "names of layers": (
        [conv("conv", "fc", "fc.weight"), node("Relu", "fc", "relu_1"), node("Flatten", "relu_1", "f"),
         node("Gemm", "f conv.weight", "flatten_1"), node("Sigmoid", "flatten_1", "fc/value")],
        [port("conv", 2, 4, 3)], [port("relu_1", 3, 4, 3), port("flatten_1", 2), port("fc/value", 2)],
        [weight("fc.weight", 3, 2, 3, 3), weight("conv.weight", 36, 2)]),
    "lines and many outputs": (
        [node("Conv", "x w", "y0", pads=[1, 1])] +
        [node("Relu" if i % 2 else "Neg", f"y{i}", f"y{i + 1}") for i in range(40)],
        [port("x", 3, 9)], [port(f"y{i}", 4, 9) for i in range(41)], [weight("w", 4, 3, 3)]),
}


def fail(name, text):
    sys.exit(f"{name}: {text}")


def convnet(name, *arguments):
    done = subprocess.run([CONVNET, *arguments], capture_output=True, text=True)
    if done.returncode:
        fail(name, f"convnet {' '.join(arguments)}: {done.stderr}")


def run(name, path, given):
    files = []
    for key, array in given.items():
        np.save(f"{FOLDER}/{key}.npy", array[:, :, None] if array.ndim == 3 else array)
        files.append(f"{key}={FOLDER}/{key}.npy")
    convnet(name, "run", path, *files, "--layout", "nchw", "--out", f"{FOLDER}/y.npz")
    with np.load(f"{FOLDER}/y.npz") as found:
        return {key: found[key] for key in found.files}


def names(values):
    return [value.name for value in values]


def check(name, nodes, inputs, outputs, initializers):
    path, again = f"{FOLDER}/model.onnx", f"{FOLDER}/again.onnx"
    model = helper.make_model(helper.make_graph(nodes, "g", inputs, outputs, initializers),
                              opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)
    given = {value.name: RANDOM.standard_normal(
        (EXAMPLES, *[d.dim_value for d in value.type.tensor_type.shape.dim[1:]])).astype(np.float32)
        for value in inputs}
    theirs = dict(zip(names(outputs), onnxruntime.InferenceSession(
        path, providers=["CPUExecutionProvider"]).run(None, given)))
    # Of one input and one output the model takes its own names.
    several = len(inputs) > 1 or len(outputs) > 1
    ours = run(name, path, given)
    if several and list(ours) != names(outputs):
        fail(name, f"outputs {list(ours)}, expected {names(outputs)}")
    worst = 0
    for key, expected in theirs.items():
        found = ours[key].reshape(expected.shape)
        worst = max(worst, np.abs(found - expected).max() / max(np.ptp(expected), 1e-30))
    if not worst < 1e-5:
        fail(name, f"differs from onnxruntime by {worst:.1e} of the output's range")
    convnet(name, "convert", path, again, "--verify")
    written = onnx.load(again)
    onnx.checker.check_model(written, full_check=True)
    if names(written.graph.input) != names(inputs) or names(written.graph.output) != names(outputs):
        fail(name, f"written with {names(written.graph.input)}, {names(written.graph.output)}")
    for key, expected in run(name, again, given).items():
        if expected.tobytes() != ours[key].tobytes():
            fail(name, f"{key} has other bits, written and read again")
    back = onnxruntime.InferenceSession(again, providers=["CPUExecutionProvider"]).run(
        None, {k: v[:, :, None] if v.ndim == 3 else v for k, v in given.items()})
    for key, found in zip(names(outputs), back):
        if not np.allclose(found.reshape(theirs[key].shape), theirs[key], rtol=1e-4, atol=1e-5):
            fail(name, f"{key}: onnxruntime computes something else from the file that was written")
    return worst, os.path.getsize(again)


def main():
    for name, parts in NETWORKS.items():
        worst, size = check(name, *parts)
        print(f"{worst:8.1e} {size:8}  {name}", flush=True)


main()
