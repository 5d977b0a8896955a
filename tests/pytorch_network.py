"""Trains a whole network beside PyTorch: ResNet-20, 100 steps, the same weights and batches.

    pytorch_network.py LIBCONVNET.SO [--double] [--cifar10 FOLDER]

Rounding makes any two trainings in float32 part, faster the larger the learning rate: a ReLU that
decides otherwise changes the next gradient, and so on. So three run side by side, convnet and
PyTorch twice, with images as NCHW and as NHWC, whose sums round differently: convnet must
not be further from either than a few times their own distance. The rates are small, so that 100
steps can be compared at all. PyTorch in float64 shows over the first steps (with --double over all
of them, which takes minutes) who is how far from exact. The images are made up, or with --cifar10
those of data_batch_1.bin.xz there, on which trainings part sooner.

Prints a table of the largest relative differences of the loss. Exits with 0, or with 1 after saying
what differs.
"""
import argparse
import json
import lzma
import os
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from c_interface import ADAM, SGD, Model, Optimizer, call, library

torch.set_num_threads(1)
STEPS, BATCH, SIDE = 100, 32, 16
MARKS = (1, 2, 5, 10, 20, 50, 100)  # steps that the table sums up to


class Block(nn.Module):
    def __init__(self, before, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, filters, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(filters)
        self.shortcut = nn.Identity() if before == filters else nn.Sequential(
            nn.Conv2d(before, filters, 1, stride, bias=False), nn.BatchNorm2d(filters))

    def forward(self, x):
        y = self.norm1(self.conv1(x)).relu()
        return (self.norm2(self.conv2(y)) + self.shortcut(x)).relu()


class ResNet20(nn.Module):
    """Takes (m, n_H, n_W, n_C); its modules come in the order of convnet's layers."""

    def __init__(self):
        super().__init__()
        blocks, before = [], 16
        for filters, stride in ((16, 1), (32, 2), (64, 2)):
            for i in range(3):
                blocks.append(Block(before, filters, stride if i == 0 else 1))
                before = filters
        self.conv = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(16)
        self.blocks = nn.Sequential(*blocks)
        self.dense = nn.Linear(64, 10)

    def forward(self, x):
        x = self.norm(self.conv(x)).relu()
        return self.dense(self.blocks(x).mean((2, 3)))

    def named(self):
        """Parameters and statistics by convnet's names, as views in convnet's order of axes."""
        found, count = {}, {"conv2d": 0, "batch_norm": 0, "dense": 0}
        kinds = {nn.Conv2d: "conv2d", nn.BatchNorm2d: "batch_norm", nn.Linear: "dense"}
        for module in self.modules():
            if type(module) not in kinds:
                continue
            kind = kinds[type(module)]
            count[kind] += 1
            for role, value in module.state_dict().items():
                if role != "num_batches_tracked":
                    axes = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[value.ndim]
                    found[f"{kind}_{count[kind]}.{role}"] = value.permute(axes)
        return found


def read_safetensors(path):
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        head = json.loads(file.read(size))
        data = file.read()
    head.pop("__metadata__")
    return {name: np.frombuffer(data[slice(*t["data_offsets"])], np.float32).reshape(t["shape"])
            for name, t in head.items()}


def cifar10(count, folder):
    """Its first images, halved and normalized, and labels."""
    with lzma.open(os.path.join(folder, "data_batch_1.bin.xz")) as file:
        rows = np.frombuffer(file.read(count * 3073), np.uint8).reshape(count, 3073)
    x = rows[:, 1:].reshape(count, 3, SIDE, 2, SIDE, 2).mean((3, 5)).transpose(0, 2, 3, 1)
    return (x / 255 - 0.47) / 0.25, rows[:, 0]


def made_up(count):
    """Noise around one image a class."""
    random = np.random.default_rng(1)
    y = random.integers(0, 10, count)
    centers = random.standard_normal((10, SIDE, SIDE, 3))
    return centers[y] / 2 + random.standard_normal((count, SIDE, SIDE, 3)), y


def theirs(weights, dtype, layout, optimizer, rate, batches, seen):
    """PyTorch's losses, its parameters at the end, and its evaluation of `seen`."""
    net = ResNet20()
    for name, value in net.named().items():
        value.copy_(torch.tensor(weights[name]))
    net = net.to(dtype=dtype, memory_format=layout)
    wide = [p for p in net.parameters() if p.ndim > 1]
    narrow = [p for p in net.parameters() if p.ndim == 1]
    steps, losses = optimizer(wide, narrow, rate), []
    for x, y in batches:
        x = torch.tensor(x).permute(0, 3, 1, 2).to(dtype=dtype, memory_format=layout)
        loss = F.cross_entropy(net(x), torch.tensor(y).long())
        steps.zero_grad()
        loss.backward()
        steps.step()
        losses.append(loss.item())
    net.eval()
    with torch.no_grad():
        x = torch.tensor(seen).permute(0, 3, 1, 2).to(dtype=dtype, memory_format=layout)
        output = net(x).softmax(1).numpy()
    return losses, {name: value.numpy() for name, value in net.named().items()}, output


def ours(model, rate, batches, seen):
    losses = []
    for x, y in batches:
        losses.append(model.run(x, y)[1])
        call(library.cn_session_step, model.session, rate)
    return losses, model.parameters(), model.predict(seen)


# ---- comparing


def loss_off(a, b, steps):
    """The largest relative difference of two runs' losses in the first steps."""
    return max(abs(p - q) / abs(q) for p, q in zip(a[0][:steps], b[0][:steps]))


def end_off(a, b):
    """|a - b| / |b| after the last step, by what is compared."""
    found = {}
    for what, chosen in (("weights", lambda name: "running" not in name),
                         ("running means", lambda name: "running_mean" in name),
                         ("running variances", lambda name: "running_var" in name)):
        found[what] = [[run[1][name].ravel() for name in b[1] if chosen(name)] for run in (a, b)]
    found["outputs, evaluated"] = [[a[2].ravel()], [b[2].ravel()]]
    for what, sides in found.items():
        p, q = (np.concatenate(side) for side in sides)
        found[what] = np.linalg.norm(p - q) / np.linalg.norm(q)
    return found


def judge(name, runs):
    """Says what is further off than it may be; True if nothing is."""
    fine = True
    us, nchw, nhwc, exact = runs
    limits = {mark: max(1e-3, 10 * loss_off(nhwc, nchw, mark)) for mark in MARKS if mark > 20}
    limits.update({1: 1e-6, 20: 1e-3})
    for mark, limit in limits.items():
        for what, other in (("NCHW", nchw), ("NHWC", nhwc)):
            found = loss_off(us, other, mark)
            if not found <= limit:
                fine = False
                print(f"{name}: loss within {mark} steps, {what}: off by {found:.1e}, expected at "
                      f"most {limit:.1e}")
    if not loss_off(us, exact, 1) <= 1e-6:
        fine = False
        print(f"{name}: the first loss is not that of float64")
    own = end_off(nhwc, nchw)
    for what, found in end_off(us, nchw).items():
        if not found <= 5 * own[what]:
            fine = False
            print(f"{name}: {what}: off by {found:.1e}, PyTorch from itself by {own[what]:.1e}")
    return fine


def show(name, rate, runs):
    us, nchw, nhwc, exact = runs
    pairs = ((us, nchw), (us, nhwc), (nhwc, nchw), (us, exact), (nchw, exact), (nhwc, exact))

    def line(what, found):
        print(f"{what:18}", *(f"{value:11.1e}" for value in found), flush=True)

    print(f"{name}, rate {rate}: loss from {us[0][0]:.3f} to {us[0][-1]:.3f}\n")
    print(" " * 18, "    us-NCHW     us-NHWC   NHWC-NCHW   us-double NCHW-double NHWC-double")
    for mark in MARKS:
        known = pairs if mark <= len(exact[0]) else pairs[:3]
        line(f"loss to step {mark}", [loss_off(a, b, mark) for a, b in known])
    ends = [end_off(a, b) for a, b in (pairs if len(exact[0]) == STEPS else pairs[:3])]
    for what in ends[0]:
        line(what, [end[what] for end in ends])
    print()


# ---- the trainings


def sgd(wide, narrow, rate):
    return torch.optim.SGD([{"params": wide, "weight_decay": 0.5}, {"params": narrow}], rate, 0.9)


def adam(wide, narrow, rate):
    return torch.optim.Adam(wide + narrow, rate)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("library")
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--cifar10", metavar="FOLDER")
    asked = parser.parse_args()
    count = (STEPS + 1) * BATCH
    x, y = cifar10(count, asked.cifar10) if asked.cifar10 else made_up(count)
    x = np.ascontiguousarray(x, np.float32).reshape(-1, BATCH, SIDE, SIDE, 3)
    y = np.ascontiguousarray(y, np.int32).reshape(-1, BATCH)
    batches, seen = list(zip(x[:-1], y[:-1])), x[-1]
    exact_steps = STEPS if asked.double else 3
    print(f"{'CIFAR-10' if asked.cifar10 else 'made-up images'}, PyTorch {torch.__version__}")
    fine = True
    for name, optimizer, steps, rate in (
        ("SGD", Optimizer(SGD, momentum=0.9, weight_decay=0.5), sgd, 1e-4),
        ("Adam", Optimizer(ADAM), adam, 3e-5),
    ):
        model = Model("resnet20", (SIDE, SIDE, 3), BATCH, optimizer=optimizer)
        # Through a model file, so that what others read there is what is trained here.
        with tempfile.TemporaryDirectory() as folder:
            model.save(os.path.join(folder, "start.safetensors"))
            weights = read_safetensors(os.path.join(folder, "start.safetensors"))
        runs = [ours(model, rate, batches, seen)]
        for dtype, layout, count in ((torch.float32, torch.contiguous_format, STEPS),
                                     (torch.float32, torch.channels_last, STEPS),
                                     (torch.float64, torch.contiguous_format, exact_steps)):
            runs.append(theirs(weights, dtype, layout, steps, rate, batches[:count], seen))
        show(name, rate, runs)
        fine = judge(name, runs) and fine
    sys.exit(not fine)


main()
