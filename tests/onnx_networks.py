#!/usr/bin/env python3
"""Networks of torchvision, and U-Nets, as PyTorch's exporters write them today.

    onnx_networks.py CONVNET FOLDER [NETWORK...] [--exporter NAME]...

Each is written to FOLDER (unless it is there already) with random weights and statistics, by the
exporter ("new"), by the older one ("old"), and by both for any batch ("newdyn", "olddyn"). `convnet run`
must then compute what onnxruntime does, within 1e-4 of the output's range; and the file that `convnet
convert` makes of it, read again, must give the very same bits. Takes half an hour for all, so it is run by
hand; needs torch, torchvision, onnx, onnxscript, onnxruntime and numpy.
"""
import argparse
import logging
import os
import subprocess
import sys
import warnings

warnings.filterwarnings("ignore")
# Torchvision looks for a package that the neighbor pytorch.py would pass for.
sys.path = [folder for folder in sys.path if not os.path.exists(os.path.join(folder, "pytorch.py"))]

import numpy as np
import torch
import torchvision.models as zoo
from torch import nn

EXPORTERS = "new", "old", "newdyn", "olddyn"


class UNet(nn.Module):
    """Of three stages; the way up by transposed convolutions, or by Upsample."""

    def __init__(self, transposed):
        super().__init__()

        def stage(before, filters):
            return nn.Sequential(
                nn.Conv2d(before, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU(),
                nn.Conv2d(filters, filters, 3, padding=1), nn.BatchNorm2d(filters), nn.ReLU())

        def up(before, filters, method):
            if transposed:
                return nn.ConvTranspose2d(before, filters, 2, 2)
            return nn.Sequential(nn.Upsample(scale_factor=2, mode=method), nn.Conv2d(before, filters, 1))

        self.a, self.b, self.c = stage(3, 16), stage(16, 32), stage(32, 64)
        self.pool = nn.MaxPool2d(2)
        self.up1, self.up2 = up(64, 32, "bilinear"), up(32, 16, "nearest")
        self.d, self.e, self.out = stage(64, 32), stage(32, 16), nn.Conv2d(16, 4, 1)

    def forward(self, x):
        a = self.a(x)
        b = self.b(self.pool(a))
        d = self.d(torch.cat([self.up1(self.c(self.pool(b))), b], 1))
        return self.out(self.e(torch.cat([self.up2(d), a], 1)))


def plain(make):
    return lambda: make(weights=None)


def without_side_outputs(make, **more):
    return lambda: make(weights=None, aux_logits=False, init_weights=False, **more)


# name: (how it is made, side of its images)
NETWORKS = {
    "resnet18": (plain(zoo.resnet18), 224), "resnet50": (plain(zoo.resnet50), 224),
    "mobilenet_v2": (plain(zoo.mobilenet_v2), 224),
    "mobilenet_v3_small": (plain(zoo.mobilenet_v3_small), 224),
    "mobilenet_v3_large": (plain(zoo.mobilenet_v3_large), 224),
    "vgg11": (plain(zoo.vgg11_bn), 224), "alexnet": (plain(zoo.alexnet), 224),
    "squeezenet": (plain(zoo.squeezenet1_1), 224), "densenet121": (plain(zoo.densenet121), 224),
    "shufflenet": (plain(zoo.shufflenet_v2_x1_0), 224),
    "efficientnet_b0": (plain(zoo.efficientnet_b0), 224),
    "googlenet": (without_side_outputs(zoo.googlenet, transform_input=True), 224),
    "inception": (without_side_outputs(zoo.inception_v3), 299),
    "mnasnet": (plain(zoo.mnasnet1_0), 224), "regnet": (plain(zoo.regnet_y_400mf), 224),
    "regnetx": (plain(zoo.regnet_x_400mf), 224), "convnext_tiny": (plain(zoo.convnext_tiny), 224),
    "unet": (lambda: UNet(True), 64), "unet_up": (lambda: UNet(False), 64),
}


def make(name):
    """The network, its statistics random as well, and two images."""
    build, side = NETWORKS[name]
    torch.manual_seed(1)
    net = build()
    random = torch.Generator().manual_seed(2)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=random)
            module.running_var.uniform_(0.5, 2, generator=random)
            module.weight.data.uniform_(0.5, 1.5, generator=random)
            module.bias.data.normal_(0, 0.2, generator=random)
    return net.eval(), torch.randn(2, 3, side, side, generator=random)


def export(name, exporter, folder):
    """The path of the file, which is written unless it is there."""
    path = os.path.join(folder, f"{name}_{exporter}.onnx")
    if os.path.exists(path):
        return path
    net, x = make(name)
    logging.disable(logging.WARNING)
    if exporter == "new":
        torch.onnx.export(net, (x[:1],), path, dynamo=True, verbose=False)
    elif exporter == "newdyn":
        torch.onnx.export(net, (x,), path, dynamo=True, verbose=False,
                          dynamic_shapes=({0: torch.export.Dim("n")},))
    elif exporter == "old":
        torch.onnx.export(net, (x[:1],), path, dynamo=False)
    else:
        torch.onnx.export(net, (x,), path, dynamo=False, input_names=["x"], output_names=["y"],
                          dynamic_axes={"x": {0: "n"}, "y": {0: "n"}})
    return path


def convnet(command, *arguments):
    done = subprocess.run([command, *arguments], capture_output=True, text=True)
    return done.stderr.strip() or "failed" if done.returncode else None


def check(command, name, exporter, folder):
    """Prints a line; returns whether all is well."""
    import onnxruntime
    label = f"{name:20} {exporter:7}"
    try:
        path = export(name, exporter, folder)
    except Exception as reason:
        print(f"{label} cannot be written by PyTorch: {str(reason).splitlines()[0][:120]}")
        return True
    x = np.random.default_rng(3).standard_normal(
        (2 if exporter.endswith("dyn") else 1, 3, *[NETWORKS[name][1]] * 2)).astype(np.float32)
    files = {key: os.path.join(folder, file) for key, file in
             (("x", "x.npy"), ("y", "y.npy"), ("again", "again.onnx"), ("z", "z.npy"))}
    np.save(files["x"], x)
    error = (convnet(command, "run", path, files["x"], "--layout", "nchw", "--out", files["y"])
             or convnet(command, "convert", path, files["again"])
             or convnet(command, "run", files["again"], files["x"], "--layout", "nchw", "--out",
                        files["z"]))
    if error:
        print(f"{label} FAILED: {error}")
        return False
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    theirs, = session.run(None, {session.get_inputs()[0].name: x})
    ours, again = np.load(files["y"]), np.load(files["z"])
    apart = np.abs(ours.reshape(theirs.shape) - theirs).max() / np.ptp(theirs)
    same = ours.tobytes() == again.tobytes()
    print(f"{label} {apart:8.1e} of the range from onnxruntime; written and read again: " +
          ("the same bits" if same else f"OFF BY {np.abs(ours - again).max() / np.ptp(ours):.1e}"),
          flush=True)
    return same and apart < 1e-4


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("convnet")
    parser.add_argument("folder")
    parser.add_argument("networks", nargs="*", choices=[[], *NETWORKS])
    parser.add_argument("--exporter", action="append", choices=EXPORTERS)
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    os.makedirs(options.folder, exist_ok=True)
    results = [check(options.convnet, name, exporter, options.folder)
               for name in options.networks or NETWORKS
               for exporter in options.exporter or EXPORTERS]
    print(f"{len(results)} files, {results.count(False)} failed")
    return 1 if not all(results) else 0


if __name__ == "__main__":
    sys.exit(main())
