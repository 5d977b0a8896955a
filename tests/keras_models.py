"""Models written for Keras, run by Keras: the same outputs.

    keras_models.py CONVNET FOLDER

`convnet convert X out.keras`, then keras.models.load_model, on random examples; and the weights alone, into
that network. What is compared is in the layers' own terms: logits and images, within 1e-4 of their range.
"""
import os
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np

CONVNET, FOLDER = sys.argv[1:3]

LAYERS = """conv 4 3x2, dense 3
conv 4 4x4 stride 2 same no_bias, relu, dense 3
conv 6 3x3 pads 1x2x0x3 dilation 2x1 groups 2, tanh, dense 3
depthwise 3x3 same depth_multiplier 2, sigmoid, dense 3
conv 6 3x3 same no_bias, batchnorm epsilon 0.001, relu, dense 3
convtranspose 4 2x2 stride 2, relu6, dense 3
convtranspose 6 3x4 stride 2x3 pads 1x0x1x2 output_padding 1x2, dense 3
convtranspose 4 1x2 stride 3x3 same, dense 3
convtranspose 3 2x2 dilation 2 no_bias, conv 3 1x1
relu, maxpool 3 stride 2 pads 1, dense 3
maxpool 3 stride 2 same, avgpool 2 stride 1 same, dense 3
gap, dense 3
adaptiveavgpool 3x4, dense 3
adaptiveavgpool 4x3, dense 3
zeropad 1x2x3x0, crop 1x0x2x1, dense 3
upsample 2x3, dense 3
upsample 3x2 bilinear, dense 3
batchnorm no_scale, batchnorm no_shift epsilon 0.1, dense 3
layernorm epsilon 0.001, layernorm all_axes, dense 3
layernorm all_axes no_scale epsilon 0.1, layernorm no_scale no_shift, dense 3
groupnorm 3, groupnorm 6 no_scale, groupnorm 1 no_shift, dense 3
leaky_relu 0.2, elu 0.7, gelu, silu, softplus, dense 3
hard_sigmoid, hard_swish, scale 0.3, shift 0.2, clip 0 0.4, dense 3
flatten, relu, dropout 0.5, batchnorm, layernorm, dense 4
flatten as a, dense 432, add a, dense 4
flatten as a, dense 7, concat a, dense 3
gap, dense 6, sigmoid, multiply input, dense 3
conv 6 1x1 as a, conv 1 1x1 from input, subtract a, conv 6 1x1, maximum a, minimum input, dense 3
conv 6 1x1 as a, gap, dense 6, plus a, conv 3 1x1
reshape 4x6, conv 3 1x1, dense 3
conv 6 1x1 as short, conv 5 3x3 same from input, conv 6 3x3 same, add short, dense 3
conv 4 3x3 same as a/b.c, conv 4 3x3 same, add a/b.c, conv 2 1x1""".splitlines()

NETWORKS = [("lenet5", "28x28x1"), ("vgg-small", "32x32x3"), ("resnet20", "32x32x3"),
            ("mobilenet-v2", "32x32x3"), ("unet-small", "32x32x3"), ("resnet18", "64x64x3")]


def convnet(*arguments):
    done = subprocess.run([CONVNET, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"convnet {' '.join(arguments)}: {done.stderr}")


def check(text, shape, label):
    model, theirs, weights = (f"{FOLDER}/m{e}" for e in (".safetensors", ".keras", ".weights.h5"))
    convnet("convert", text, model, "--shape", shape, "--seed", "3")
    randomize(model)
    convnet("convert", model, theirs)
    convnet("convert", model, weights)
    net = keras.models.load_model(theirs)
    x = np.random.default_rng(2).uniform(-1, 1, (2, *net.input_shape[1:])).astype("f")
    np.save(f"{FOLDER}/x.npy", x)
    convnet("run", model, f"{FOLDER}/x.npy", "--out", f"{FOLDER}/y.npy")
    y, expected = np.load(f"{FOLDER}/y.npy"), np.asarray(keras.ops.convert_to_numpy(net(x)))
    before = net.get_weights()
    net.set_weights([np.zeros_like(w) for w in before])
    net.load_weights(weights)
    same = all(np.array_equal(a, b) for a, b in zip(before, net.get_weights()))
    error = np.abs(y - expected.reshape(y.shape)).max() / max(np.ptp(y), 1e-3)
    print(f"{error:8.1e}  {label[:70]}", flush=True)
    return same and error < 1e-4


def randomize(path):
    """Other numbers in the file, so that no scale is 1 and no shift 0."""
    data = bytearray(open(path, "rb").read())
    head = 8 + int.from_bytes(data[:8], "little")
    values = np.frombuffer(memoryview(data)[head:len(data) - (len(data) - head) % 4], "<f4")
    low, high = (0.01, 0.2) if values.size < 10000 else (-0.003, 0.003)
    values += np.random.default_rng(1).uniform(low, high, values.shape).astype("f")
    open(path, "wb").write(data)


wrong = [label for text, shape, label in
         [(text, "9x8x6", text) for text in LAYERS] + [(n, s, n) for n, s in NETWORKS]
         if not check(text, shape, label)]
print(f"{len(LAYERS) + len(NETWORKS)} networks, {len(wrong)} wrong: {wrong}")
sys.exit(bool(wrong))
