"""Trains a network that came as an ONNX file beside the PyTorch network that it was written from.

    pytorch_onnx.py LIBCONVNET.SO FOLDER

ResNet-18, batch norms kept, as the older exporter writes it for training: ten steps of SGD with
momentum on the same batch. Every loss must be PyTorch's within 1e-4 relative. The rate is small
enough that rounding is not yet multiplied (pytorch_network.py says more about that), and large
enough that the loss falls. And the same the other way round: what was trained is written as ONNX,
read again, and gives the same bits.
"""
import os
import sys
import warnings
from ctypes import byref, c_int, c_void_p

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from c_interface import SGD, Model, Optimizer, SessionOpts, call, library

warnings.filterwarnings("ignore")
torch.set_num_threads(1)
FOLDER = sys.argv[2]
STEPS, BATCH, SIDE, RATE, WITHIN = 10, 8, 64, 3e-5, 1e-4


class Block(nn.Module):
    """As torchvision names it."""

    def __init__(self, before, filters, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, filters, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.downsample = None
        if stride != 1 or before != filters:
            self.downsample = nn.Sequential(nn.Conv2d(before, filters, 1, stride, bias=False),
                                            nn.BatchNorm2d(filters))

    def forward(self, x):
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + (self.downsample(x) if self.downsample else x))


class ResNet18(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64)
        self.pool = nn.MaxPool2d(3, 2, 1)
        stages, before = [], 64
        for filters in 64, 128, 256, 512:
            stride = 1 if filters == 64 else 2
            stages.append(nn.Sequential(Block(before, filters, stride), Block(filters, filters, 1)))
            before = filters
        self.layers, self.fc = nn.Sequential(*stages), nn.Linear(512, 10)

    def forward(self, x):
        x = self.layers(self.pool(torch.relu(self.bn1(self.conv1(x)))))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))


class Imported(Model):
    """A session that trains the file's network, with the softmax that labels are learnt by."""

    def __init__(self, path):
        loaded, self.batch, self.text = c_void_p(), BATCH, path
        self.model, self.session = c_void_p(), c_void_p()
        call(library.cn_model_load, byref(loaded), path.encode())
        call(library.cn_model_adapt, byref(self.model), loaded, (c_int * 3)(SIDE, SIDE, 3), 10, 1)
        library.cn_model_free(loaded)
        opts = SessionOpts(batch=BATCH, training=True, input_gradient=True,
                           optimizer=Optimizer(SGD, momentum=0.9))
        call(library.cn_session_create, byref(self.session), self.model, byref(opts))

    def step(self, x, y):
        loss = self.run(x, y)[1]
        call(library.cn_session_step, self.session, RATE)
        return loss


def write(net, path):
    options = {"dynamo": False} if torch.__version__ >= "2.5" else {}
    torch.onnx.export(net, torch.zeros(BATCH, 3, SIDE, SIDE), path, input_names=["x"],
                      output_names=["y"], dynamic_axes={"x": {0: "n"}, "y": {0: "n"}},
                      training=torch.onnx.TrainingMode.TRAINING, do_constant_folding=False, **options)


def theirs(net, x, y):
    optimizer, losses = torch.optim.SGD(net.parameters(), RATE, 0.9), []
    for _ in range(STEPS):
        loss = F.cross_entropy(net(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main():
    torch.manual_seed(1)
    net, path = ResNet18().train(), os.path.join(FOLDER, "resnet18.onnx")
    x, y = torch.randn(BATCH, 3, SIDE, SIDE), torch.randint(10, (BATCH,))
    state = {name: value.clone() for name, value in net.state_dict().items()}
    write(net, path)
    net.load_state_dict(state)  # an export for training has moved the statistics
    images = np.ascontiguousarray(x.permute(0, 2, 3, 1).numpy())
    labels = y.numpy().astype(np.int32)
    model, expected, fine = Imported(path), theirs(net, x, y), True
    for i, want in enumerate(expected):
        found = model.step(images, labels)
        off = abs(found - want) / want
        print(f"step {i + 1:2}: {found:.7f}, PyTorch {want:.7f}, {off:.1e}")
        fine = fine and off <= WITHIN
    if expected[-1] > 0.8 * expected[0]:
        fine = False
        print("the loss does not fall, so the comparison says little")

    # What was learnt, written and read again: the same outputs.
    back = os.path.join(FOLDER, "back.onnx")
    call(library.cn_model_export, model.model, back.encode(), None)
    before, after = (again.run(images, labels)[0] for again in (model, Imported(back)))
    if before.tobytes() != after.tobytes():
        fine = False
        print(f"written and read again: off by {np.abs(before - after).max():.1e}")
    sys.exit(not fine)


main()
