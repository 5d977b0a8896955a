"""Weights of PyTorch's networks, loaded into the zoo's: the same outputs.

    pytorch_weights.py CONVNET FOLDER [all]

Networks of torchvision are compared where it is installed; with "all", the large ones, too.
"""
import json
import struct
import subprocess
import sys

sys.path.pop(0)  # torchvision looks for a package that the neighbor pytorch.py would pass for

import numpy as np
import torch
from torch import nn

try:
    import torchvision
except ImportError:
    torchvision = None

CONVNET, FOLDER = sys.argv[1:3]


def save_safetensors(path, tensors):
    """The format in 20 lines, for a Python that lacks its package. In the order of the names."""
    names = {torch.float32: "F32", torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16",
             torch.float64: "F64"}
    header, blocks, offset = {}, [], 0
    for name in sorted(tensors):
        t = tensors[name].detach().contiguous()
        if t.dtype == torch.bfloat16:
            data = t.view(torch.int16).numpy().tobytes()
        else:
            data = t.numpy().tobytes()
        header[name] = {"dtype": names[t.dtype], "shape": list(t.shape),
                        "data_offsets": [offset, offset + len(data)]}
        blocks.append(data)
        offset += len(data)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(blocks))


def load_safetensors(path):
    with open(path, "rb") as file:
        data = file.read()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: torch.from_numpy(np.frombuffer(
        data[8 + size + t["data_offsets"][0]:8 + size + t["data_offsets"][1]],
        "<f4").reshape(t["shape"]).copy()) for name, t in header.items()}


def lenet5():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84),
        nn.ReLU(), nn.Linear(84, 10))


def vgg_small():
    layers, last = [], 3
    for filters in 64, 128, 256:
        layers += [nn.Conv2d(last, filters, 3, padding=1), nn.ReLU(),
                   nn.Conv2d(filters, filters, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        last = filters
    net = nn.Module()
    net.features, net.classifier = nn.Sequential(*layers), nn.Linear(4096, 10)
    net.forward = lambda x: net.classifier(torch.flatten(net.features(x), 1))
    return net


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


class ResNet20(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*[Block(16, 16, 1) for _ in range(3)])
        self.layer2 = nn.Sequential(Block(16, 32, 2), Block(32, 32, 1), Block(32, 32, 1))
        self.layer3 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1), Block(64, 64, 1))
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        x = self.layer3(self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x))))))
        return self.fc(x.mean((2, 3)))


def networks(everything):
    yield "lenet5", lenet5(), (1, 28, 28)
    yield "vgg-small", vgg_small(), (3, 32, 32)
    yield "resnet20", ResNet20(), (3, 32, 32)
    if torchvision:
        yield "resnet18", torchvision.models.resnet18(), (3, 224, 224)
        if everything:
            yield "resnet50", torchvision.models.resnet50(), (3, 224, 224)
            yield "mobilenet-v2", torchvision.models.mobilenet_v2(), (3, 224, 224)
    else:
        print("skipped: torchvision's networks, which is not installed")


def randomize(net):
    for m in net.modules():
        if isinstance(m, nn.BatchNorm2d):
            nn.init.normal_(m.running_mean, 0, 0.2)
            nn.init.uniform_(m.running_var, 0.5, 1.5)
            nn.init.uniform_(m.weight, 0.5, 1)
            nn.init.normal_(m.bias, 0, 0.1)
    return net.eval()


def convnet(*arguments):
    done = subprocess.run([CONVNET, *arguments], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"convnet {' '.join(arguments)}: {done.stderr}")


def check(name, net, shape):
    theirs, ours, back = (f"{FOLDER}/{file}.safetensors" for file in ("theirs", "ours", "back"))
    randomize(net)
    state = net.state_dict()
    save_safetensors(theirs, state)
    convnet("convert", theirs, ours, "--network", name, "--quiet")
    x = torch.randn(2, *shape)
    with torch.no_grad():
        expected = net(x).log_softmax(1).numpy()
    np.save(f"{FOLDER}/x.npy", x.numpy())
    convnet("run", ours, f"{FOLDER}/x.npy", "--layout", "nchw", "--out", f"{FOLDER}/y.npy")
    error = np.abs(np.log(np.load(f"{FOLDER}/y.npy")) - expected).max()
    print(f"{error:8.1e}  {name}")
    assert error < 1e-4, f"{name}: logarithms of probabilities differ by {error:.1e}"

    # As NumPy's archive of the same tensors.
    np.savez(f"{FOLDER}/theirs.npz", **{key: value.numpy() for key, value in state.items()})
    convnet("convert", f"{FOLDER}/theirs.npz", back, "--network", name, "--quiet")
    with open(ours, "rb") as first, open(back, "rb") as second:
        assert first.read() == second.read(), f"{name}: the weights in NPZ are others"
    convnet("convert", ours, f"{FOLDER}/back.npz", "--like", f"{FOLDER}/theirs.npz")
    with np.load(f"{FOLDER}/back.npz") as arrays:
        for key in arrays.files:
            assert np.array_equal(arrays[key], state[key].numpy()), key

    # And back, under the names of PyTorch: the very tensors.
    convnet("convert", ours, back, "--like", theirs, "--verify")
    again = load_safetensors(back)
    floats = {key for key, value in state.items() if value.dtype == torch.float32}
    assert set(again) == floats, set(again) ^ floats
    for key in floats:
        assert torch.equal(again[key], state[key]), key
    net.load_state_dict(again)


torch.manual_seed(1)
for network in networks("all" in sys.argv):
    check(*network)
