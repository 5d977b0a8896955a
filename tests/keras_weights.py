"""Weights of Keras's networks, loaded into the zoo's: the same outputs.

    keras_weights.py CONVNET FOLDER

Every form that Keras 3 writes: .weights.h5, .keras, and the .h5 that Keras 2 wrote, too.
"""
import logging
import os
import subprocess
import sys

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from keras import layers as L

CONVNET, FOLDER = sys.argv[1:3]


def lenet5():
    return keras.Sequential([
        keras.Input((28, 28, 1)), L.Conv2D(6, 5, padding="same", activation="relu"),
        L.MaxPool2D(2), L.Conv2D(16, 5, activation="relu"), L.MaxPool2D(2), L.Flatten(),
        L.Dense(120, activation="relu"), L.Dense(84, activation="relu"),
        L.Dense(10, activation="softmax")])


def vgg_small():
    net = [keras.Input((32, 32, 3))]
    for filters in 64, 128, 256:
        net += [L.Conv2D(filters, 3, padding="same", activation="relu"),
                L.Conv2D(filters, 3, padding="same", activation="relu"), L.MaxPool2D(2)]
    return keras.Sequential(net + [L.Flatten(), L.Dense(10, activation="softmax")])


def conv_norm(x, filters, size, stride=1, relu=True):
    x = L.ZeroPadding2D((size - 1) // 2)(x)
    x = L.Conv2D(filters, size, stride, use_bias=False)(x)
    x = L.BatchNormalization(epsilon=1e-5)(x)
    return L.ReLU()(x) if relu else x


def resnet20():
    x = inputs = keras.Input((32, 32, 3))
    x = conv_norm(x, 16, 3)
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            stride = 2 if stage and not block else 1
            y = conv_norm(conv_norm(x, filters, 3, stride), filters, 3, relu=False)
            if stride == 2:
                x = conv_norm(x, filters, 1, 2, relu=False)
            x = L.ReLU()(L.Add()([y, x]))
    x = L.Dense(10, activation="softmax", name="head")(L.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x)


# Types of layers that keep their own count, and options that leave parameters out.
MIXED = ("depthwise 3x3 same depth_multiplier 2, batchnorm no_scale epsilon 0.001, relu, "
         "conv 4 3x3 same, convtranspose 5 2x2 stride 2, batchnorm no_shift epsilon 0.001, "
         "layernorm epsilon 0.001, depthwise 3x3 no_bias, dense 3")


def mixed():
    return keras.Sequential([
        keras.Input((8, 7, 3)), L.DepthwiseConv2D(3, padding="same", depth_multiplier=2),
        L.BatchNormalization(scale=False), L.ReLU(), L.Conv2D(4, 3, padding="same"),
        L.Conv2DTranspose(5, 2, 2), L.BatchNormalization(center=False), L.LayerNormalization(),
        L.DepthwiseConv2D(3, use_bias=False), L.Flatten(), L.Dense(3, activation="softmax")])


def randomize(net):
    random = np.random.default_rng(1)
    for layer in net.layers:
        if isinstance(layer, L.BatchNormalization):
            layer.set_weights([random.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
        elif layer.get_weights():
            layer.set_weights([w + 0.05 * random.standard_normal(w.shape)
                               for w in layer.get_weights()])


def convnet(*arguments):
    done = subprocess.run([CONVNET, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"convnet {' '.join(arguments)}: {done.stderr}")


def check(name, net, shape):
    randomize(net)
    x = np.random.default_rng(2).standard_normal((2, *net.input_shape[1:])).astype("f")
    np.save(f"{FOLDER}/x.npy", x)
    expected = np.asarray(keras.ops.convert_to_numpy(net(x)))
    for ending in ".weights.h5", ".keras", ".h5":
        theirs, ours, back = f"{FOLDER}/theirs{ending}", f"{FOLDER}/ours.safetensors", \
            f"{FOLDER}/back{ending}"
        logging.disable()  # Keras calls .h5 a legacy
        (net.save_weights if ending == ".weights.h5" else net.save)(theirs)
        convnet("convert", theirs, ours, "--network", name, "--shape", shape, "--quiet")
        convnet("run", ours, f"{FOLDER}/x.npy", "--out", f"{FOLDER}/y.npy")
        y = np.log(np.load(f"{FOLDER}/y.npy"))
        error = np.abs(y - np.log(expected)).max() / np.ptp(y)
        print(f"{error:8.1e}  {name[:40]} {ending}")
        assert error < 1e-4, f"{name} {ending}: logarithms of probabilities differ by {error:.1e}"
        if ending == ".keras":
            continue
        # And back: Keras takes the file, and has the same weights again.
        convnet("convert", ours, back, "--like", theirs, "--verify")
        before = net.get_weights()
        net.set_weights([np.zeros_like(w) for w in before])
        net.load_weights(back)
        for a, b in zip(before, net.get_weights()):
            assert np.array_equal(a, b)


for row in ("lenet5", lenet5(), "28x28x1"), ("vgg-small", vgg_small(), "32x32x3"), \
        ("resnet20", resnet20(), "32x32x3"), (MIXED, mixed(), "8x7x3"):
    check(*row)
