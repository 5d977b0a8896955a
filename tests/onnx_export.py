"""Every network of the zoo and every type of layer, exported to ONNX: valid for onnx.checker, and
onnxruntime computes what `convnet run` does, and read again they give the same bits.

    onnx_export.py CONVNET FOLDER [NETWORK...]

Weights and statistics are random: those that a network begins with would hide half of what can go
wrong. Networks that take long run only where they are named, or with "all".
"""
import json
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
LAYERS = [
    "conv 4 3x2, dense 3",
    "conv 4 4x4 stride 3x2 same no_bias, relu, dense 3",
    "conv 6 3x3 pads 1x2x0x3 dilation 2x1 groups 2, tanh, dense 3",
    "depthwise 3x3 same depth_multiplier 2, sigmoid, dense 3",
    "depthwise 2x3 stride 2 no_bias, gap, dense 3",
    "convtranspose 4 2x2 stride 2, relu6, dense 3",
    "convtranspose 4 3x3 stride 2 same, dense 3",
    "convtranspose 6 3x4 stride 2x3 pads 1x0x1x2 output_padding 1x2 groups 3, dense 3",
    "convtranspose 4 1x2 stride 3x3 same, dense 3",
    "convtranspose 3 2x2 dilation 2 no_bias, softmax",
    "maxpool 3 stride 2 pads 1, dense 3",
    "maxpool 3x2 stride 2x1 same, dense 3",
    "avgpool 3 stride 2 pads 1x0x2x1, dense 3",
    "avgpool 3x2 stride 2x1 same, dense 3",
    "gap, dense 3",
    "adaptiveavgpool 3x4, dense 3",
    "adaptiveavgpool 4x3, dense 3",
    "adaptiveavgpool 12x1, dense 3",
    "zeropad 1x2x3x0, dense 3",
    "crop 1x2x3x1, dense 3",
    "upsample 2x3, dense 3",
    "upsample 3x2 bilinear, dense 3",
    "batchnorm epsilon 0.1, dense 3",
    "batchnorm no_scale, batchnorm no_shift, dense 3",
    "layernorm, dense 3",
    "layernorm all_axes, dense 3",
    "layernorm all_axes no_scale epsilon 0.1, layernorm no_scale no_shift, dense 3",
    "groupnorm 3, dense 3",
    "groupnorm 6 no_scale, groupnorm 1 no_shift, dense 3",
    "dense 12, groupnorm 3, dense 3",
    "relu, dense 3", "leaky_relu 0.2, dense 3", "elu 0.7, dense 3", "gelu, dense 3",
    "gelu approximate, dense 3", "silu, dense 3", "softplus, dense 3", "hard_sigmoid, dense 3",
    "hard_swish, dense 3", "scale 0.3, dense 3", "dropout 0.5, dense 3", "softmax, dense 3",
    "flatten, relu, dropout 0.2, batchnorm, layernorm, dense 4",
    "flatten as a, dense 432, add a, dense 4",
    "conv 4 3x3, flatten",
    "flatten, softmax",
    "flatten as a, tanh, concat a, dense 3",
    "flatten as a, dense 7, concat a, dense 3, sigmoid",
    "flatten, groupnorm 8, dense 3",
    "shift 0.3, clip -0.5 0.7, dense 3",
    "affine, affine no_scale, affine no_shift, flatten, affine, dense 3",
    "constant 9x8 channels 6, dense 3",
    "constant 1x1 channels 6 as c, plus input, dense 3",
    "gap, dense 6, sigmoid, multiply input, dense 3",
    "conv 6 1x1 as a, conv 1 1x1 from input, subtract a, conv 6 1x1, maximum a, minimum input, "
    "dense 3",
    "sigmoid, shift 0.1 as a, relu from input, divide a, dense 3",
    "sigmoid as a, dense 6, sigmoid as b, power a, dense 3",
    "resize 13x5, dense 3",
    "resize 18x24 linear, dense 3",
    "resize 7x11 linear align_corners, dense 3",
    "resize 13x10 cubic pytorch cubic_a -0.5, dense 3",
    "resize 13x9 cubic inside, dense 3",
    "resize 22x20 nearest asymmetric ceil scale_h 2.5 scale_w 2.5, dense 3",
    "resize 5x5 linear scale_h 0.6 scale_w 0.7, dense 3",
    "resize 4x4 linear symmetric scale_h 0.45 scale_w 0.6, dense 3",
    "pad 1x2x3x0 value 0.3, dense 3",
    "pad 1x2x3x0 reflect, pad 2x1x0x1 edge, pad 1x1x2x2 wrap, dense 3",
    "lrn 3 alpha 0.2 beta 0.6 bias 1.5, dense 3",
    "log_softmax, dense 4, log_softmax",
    "reshape 4x6, conv 3 1x1, dense 3",
    "flatten, reshape 2x3, dense 3",
    "transpose 2x3, conv 3 3x3, dense 3",
    "transpose 72x6, relu, dense 3", "transpose 9x8 inner 6, conv 3 3x3, dense 3",
    "flatten, transpose 4x9, dense 3",
    "slice 2 begin 1 step 3, dense 3", "slice 3 begin 2 step 2 columns, dense 3",
    "slice 3 begin 1 rows, dense 3", "flatten, slice 10 begin 3 step 7, dense 3",
    "conv 4 3x3 same as left, conv 3 5x5 same from input as right, concat left, softmax",
    "conv 6 3x3 same, add input, relu, dense 5, batchnorm, softmax",
]


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
ANOTHER_ORDER = {"flatten, transpose 4x9, dense 3"}


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
    rows = [] if wanted and wanted != ["all"] else [(text, SHAPE) for text in LAYERS]
    errors = {text: check(text, shape, random, 3) for text, shape in rows + list(networks.items())}
    worst = max(errors, key=errors.get)
    if not errors[worst] < 1e-4:
        sys.exit(f"{worst}: differs by {errors[worst]:.1e} of the output's range")


main()
