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


class TwoInputs(nn.Module):
    """Features of an image and of a row of numbers, joined."""

    def __init__(self):
        super().__init__()
        self.image = nn.Sequential(nn.Conv2d(3, 16, 3, 2), nn.BatchNorm2d(16), nn.ReLU(),
                                   nn.Conv2d(16, 32, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
                                   nn.Flatten())
        self.row = nn.Sequential(nn.Linear(9, 16), nn.ReLU())
        self.a, self.b = nn.Linear(48, 5), nn.Linear(48, 2)

    def forward(self, image, row):
        joined = torch.cat([self.image(image), self.row(row)], 1)
        return self.a(joined), self.b(joined).sigmoid()


class Detector(nn.Module):
    """SSDLite up to what its heads say: no boxes are chosen."""

    def __init__(self):
        super().__init__()
        net = zoo.detection.ssdlite320_mobilenet_v3_large(weights=None, weights_backbone=None)
        self.backbone, self.head = net.backbone, net.head

    def forward(self, x):
        found = self.head(list(self.backbone(x).values()))
        return found["bbox_regression"], found["cls_logits"]


class SideOutputs(nn.Module):
    """GoogLeNet with those that it has where it trains; its batch norms do not."""

    def __init__(self):
        super().__init__()
        self.net = zoo.googlenet(weights=None, aux_logits=True, init_weights=False).eval()
        self.net.training = True
        self.net.train = lambda mode=True: self.net

    def forward(self, x):
        return tuple(self.net(x))


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = zoo.segmentation.fcn_resnet50(weights=None, weights_backbone=None, aux_loss=True)

    def forward(self, x):
        return tuple(self.net(x).values())


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
# Of several inputs (those beside the images) or outputs.
SEVERAL = {
    "googlenet_aux": (SideOutputs, 224), "fcn_aux": (Segmenter, 96),
    "ssdlite_heads": (Detector, 320), "two_inputs": (TwoInputs, 48, 9),
}
ALL = {**NETWORKS, **SEVERAL}


def make(name):
    """The network, its statistics random as well, and its inputs: two images, and other numbers."""
    build, side, *rows = ALL[name]
    torch.manual_seed(1)
    net = build()
    random = torch.Generator().manual_seed(2)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2, generator=random)
            module.running_var.uniform_(0.5, 2, generator=random)
            module.weight.data.uniform_(0.5, 1.5, generator=random)
            module.bias.data.normal_(0, 0.2, generator=random)
    shapes = [(2, 3, side, side)] + [(2, n) for n in rows]
    return net.eval(), [torch.randn(shape, generator=random) for shape in shapes]


def export(name, exporter, folder):
    """The path of the file, which is written unless it is there."""
    path = os.path.join(folder, f"{name}_{exporter}.onnx")
    if os.path.exists(path):
        return path
    net, x = make(name)
    logging.disable(logging.WARNING)
    first = tuple(some[:1] for some in x)
    if exporter == "new":
        torch.onnx.export(net, first, path, dynamo=True, verbose=False)
    elif exporter == "newdyn":
        n = torch.export.Dim("n")
        torch.onnx.export(net, tuple(x), path, dynamo=True, verbose=False,
                          dynamic_shapes=tuple({0: n} for _ in x))
    elif exporter == "old":
        torch.onnx.export(net, first, path, dynamo=False)
    else:
        with torch.no_grad():
            made = net(*x)
        inputs = [f"x{i}" for i in range(len(x))]
        outputs = [f"y{i}" for i in range(len(made) if isinstance(made, tuple) else 1)]
        torch.onnx.export(net, tuple(x), path, dynamo=False, input_names=inputs, output_names=outputs,
                          dynamic_axes={key: {0: "n"} for key in inputs + outputs})
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
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    random, m = np.random.default_rng(3), 2 if exporter.endswith("dyn") else 1
    given = {value.name: random.standard_normal((m, *value.shape[1:])).astype(np.float32)
             for value in session.get_inputs()}
    theirs = session.run(None, given)
    files = []
    for key, array in given.items():
        files.append(os.path.join(folder, key.replace("/", "_") + ".npy"))
        np.save(files[-1], array)
    if len(given) > 1:
        files = [f"{key}={file}" for key, file in zip(given, files)]
    again = os.path.join(folder, "again.onnx")
    results = [os.path.join(folder, file) for file in ("y.npz", "z.npz")]
    run = [*files, "--layout", "nchw", "--out"]
    error = (convnet(command, "run", path, *run, results[0])
             or convnet(command, "convert", path, again)
             or convnet(command, "run", again, *run, results[1]))
    if error:
        print(f"{label} FAILED: {error}")
        return False
    with np.load(results[0]) as y, np.load(results[1]) as z:
        ours, back = [y[key] for key in y.files], [z[key] for key in z.files]
    apart = max(np.abs(a.reshape(b.shape) - b).max() / np.ptp(b) for a, b in zip(ours, theirs))
    off = max(np.abs(a - b).max() / np.ptp(a) for a, b in zip(ours, back))
    same = [a.tobytes() for a in ours] == [b.tobytes() for b in back]
    print(f"{label} {apart:8.1e} of the range from onnxruntime; written and read again: " +
          ("the same bits" if same else f"OFF BY {off:.1e}"), flush=True)
    return same and apart < 1e-4 and len(ours) == len(theirs)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("convnet")
    parser.add_argument("folder")
    parser.add_argument("networks", nargs="*", choices=[[], *ALL])
    parser.add_argument("--exporter", action="append", choices=EXPORTERS)
    options = parser.parse_intermixed_args()
    torch.set_num_threads(1)
    os.makedirs(options.folder, exist_ok=True)
    results = [check(options.convnet, name, exporter, options.folder)
               for name in options.networks or ALL
               for exporter in options.exporter or EXPORTERS]
    print(f"{len(results)} files, {results.count(False)} failed")
    return 1 if not all(results) else 0


if __name__ == "__main__":
    sys.exit(main())
