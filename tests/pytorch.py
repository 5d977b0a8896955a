"""Compares the library with PyTorch in double precision: outputs, gradients, training steps.

    pytorch.py LIBCONVNET.SO

Layers are run from the same weights and the same batches, through the C interface and ctypes.
Exits with 0, or with 1 after saying what differs.
"""
import sys
import warnings

import numpy as np
import torch
import torch.nn.functional as F

import c_interface
from c_interface import (ADAM, ADAMW, BINARY, CROSS_ENTROPY, RMSPROP, SGD, SQUARED, LossOpts,
                         Model, Optimizer, call, compare, library)

torch.set_num_threads(1)
warnings.filterwarnings("ignore", message="Using padding='same'")  # slower, but right

def double(array, gradient=True):
    return torch.tensor(np.asarray(array), dtype=torch.float64, requires_grad=gradient)


# ---- the layers in PyTorch's words: images are (m, n_C, n_H, n_W) there


def nchw(x):
    return x.permute(0, 3, 1, 2)


def nhwc(x):
    return x.permute(0, 2, 3, 1)


def conv2d(x, w, b, stride=(1, 1), pads=(0, 0, 0, 0)):
    above, left, below, right = pads
    x = F.pad(nchw(x), (left, right, above, below))
    return nhwc(F.conv2d(x, w.permute(3, 2, 0, 1), b, stride))


def conv_transpose2d(x, w, b, stride, padding, output_padding, dilation, groups):
    """w is (f_H, f_W, n_C / groups, n_C_prev)."""
    w = w.permute(3, 2, 0, 1).contiguous()
    return nhwc(F.conv_transpose2d(nchw(x), w, b, stride, padding, output_padding, groups, dilation))


def max_pool(x, size, stride, pads=(0, 0, 0, 0)):
    above, left, below, right = pads
    x = F.pad(nchw(x), (left, right, above, below), value=-torch.inf)
    return nhwc(F.max_pool2d(x, size, stride))


def average_pool(x, size, stride, pads=(0, 0, 0, 0)):
    above, left, below, right = pads
    sides = (left, right, above, below)
    inside = F.avg_pool2d(F.pad(torch.ones_like(nchw(x)), sides), size, stride)
    return nhwc(F.avg_pool2d(F.pad(nchw(x), sides), size, stride) / inside)


def lenet5(x, p):
    """The logits, and how far the nearest decision of a ReLU or a maximum is from turning."""
    margins = []

    def relu(z):
        margins.append(z.abs().min().item())
        return z.relu()

    def pool(z):
        windows = nchw(z).unfold(2, 2, 2).unfold(3, 2, 2).flatten(4).sort(-1).values
        margins.append((windows[..., 3] - windows[..., 2]).min().item())
        return max_pool(relu(z), 2, 2)

    x = pool(conv2d(x, p["conv2d_1.weight"], p["conv2d_1.bias"], pads=(2, 2, 2, 2)))
    x = pool(conv2d(x, p["conv2d_2.weight"], p["conv2d_2.bias"])).flatten(1)
    x = relu(x @ p["dense_1.weight"] + p["dense_1.bias"])
    x = relu(x @ p["dense_2.weight"] + p["dense_2.bias"])
    return x @ p["dense_3.weight"] + p["dense_3.bias"], min(margins)


def draw_batch(random, p, m=8):
    """A batch on which float32 decides as double does: the gradient jumps where a decision turns."""
    while True:
        x = random.standard_normal((m, 28, 28, 1), dtype=np.float32)
        wide = double(x)
        logits, margin = lenet5(wide, p)
        if margin > 5e-6:
            y = random.integers(0, 10, m, dtype=np.int32)
            return x, y, wide, logits, F.cross_entropy(logits, torch.tensor(y, dtype=torch.int64))


# ---- the tests


def layers(random):
    """Single layers with strides and lopsided pads, under a softmax and the squared error."""
    for case in range(120):
        kind = ("conv", "maxpool", "avgpool")[case % 3]
        size, stride = random.integers(1, 5, 2), random.integers(1, 4, 2)
        pads = [int(random.integers(0, size[i % 2])) for i in range(4)]
        shape = [int(n) for n in random.integers(4, 12, 2)] + [int(random.integers(2, 7))]
        text = (f"{kind} {'5 ' if kind == 'conv' else ''}{size[0]}x{size[1]} "
                f"stride {stride[0]}x{stride[1]} pads {pads[0]}x{pads[1]}x{pads[2]}x{pads[3]}, softmax")
        model = Model(text, shape, 3, LossOpts(SQUARED))
        p = {name: double(value) for name, value in model.parameters().items()}
        x = random.standard_normal([3] + shape, dtype=np.float32)
        wide, size, stride = double(x), size.tolist(), stride.tolist()
        if kind == "conv":
            y = conv2d(wide, p["conv2d_1.weight"], p["conv2d_1.bias"], stride, pads)
        else:
            y = (max_pool if kind == "maxpool" else average_pool)(wide, size, stride, pads)
        y = y.softmax(-1)
        target = random.random(y.shape, dtype=np.float32)
        loss = F.mse_loss(y, double(target, False))
        loss.backward()
        output, ours, dx = model.run(x, target)
        compare(f"{text} on {shape}: output", output, y.detach(), 1e-5)
        compare(f"{text} on {shape}: loss", ours, loss.item(), 1e-5)
        compare(f"{text} on {shape}: input", dx, wide.grad, 1e-4)
        for name, gradient in model.gradients().items():
            compare(f"{text} on {shape}: {name}", gradient, p[name].grad, 1e-4)


def compare_layer(random, text, shape, theirs):
    """One layer under a softmax and the squared error; theirs(x, w, b) is its output."""
    model = Model(text + ", softmax", shape, 3, LossOpts(SQUARED))
    p = {name.split(".")[1]: double(value) for name, value in model.parameters().items()}
    x = random.standard_normal([3] + shape, dtype=np.float32)
    wide = double(x)
    y = theirs(wide, p["weight"], p["bias"]).softmax(-1)
    target = random.random(y.shape, dtype=np.float32)
    F.mse_loss(y, double(target, False)).backward()
    output, _, dx = model.run(x, target)
    compare(f"{text} on {shape}: output", output, y.detach(), 1e-5)
    compare(f"{text} on {shape}: input", dx, wide.grad, 1e-4)
    for name, gradient in model.gradients().items():
        compare(f"{text} on {shape}: {name}", gradient, p[name.split(".")[1]].grad, 1e-4)


def other_convolutions(random):
    """Groups, dilation, every channel by itself, and transposed."""
    for case in range(120):
        f, stride, d = (random.integers(1, n, 2).tolist() for n in (4, 4, 3))
        groups, each = int(random.integers(1, 4)), int(random.integers(1, 4))
        filters = groups * int(random.integers(1, 4)) + (groups == 1)
        shape = [int(n) for n in random.integers(6, 12, 2)] + [groups * each]
        pads = [int(random.integers(0, n)) for n in f]
        window = f"{f[0]}x{f[1]} stride {stride[0]}x{stride[1]} pads {pads[0]}x{pads[1]}"
        window += f" dilation {d[0]}x{d[1]}"
        if case % 3 == 0:
            text = f"conv {filters} {window} groups {groups}"
            compare_layer(random, text, shape, lambda x, w, b: nhwc(F.conv2d(
                nchw(x), w.permute(3, 2, 0, 1).contiguous(), b, stride, pads, d, groups)))
        elif case % 3 == 1:
            shape[2] += 1
            text = f"depthwise {window} depth_multiplier {each}"
            compare_layer(random, text, shape, lambda x, w, b: nhwc(F.conv2d(
                nchw(x), w.permute(3, 2, 0, 1).contiguous(), b, stride, pads, d, shape[2])))
        else:
            more = [int(random.integers(0, s)) for s in stride]
            more[0] = min(more[0], more[1])  # "1x0" would mean 1x1
            text = (f"convtranspose {filters} {window} output_padding {more[0]}x{more[1]} "
                    f"groups {groups}")
            compare_layer(random, text, shape, lambda x, w, b: conv_transpose2d(
                x, w, b, stride, pads, more, d, groups))


def by_words(p):
    """Layers that PyTorch has under one name each: text, and the function of x (m, n_H, n_W, n_C)."""
    def image(f):
        return lambda x: nhwc(f(nchw(x)))

    def group_norm(x):
        return nhwc(F.group_norm(nchw(x), 3, p["group_norm_1.weight"], p["group_norm_1.bias"]))

    def layer_norm(x):
        w, b = p["layer_norm_1.weight"], p["layer_norm_1.bias"]
        return F.layer_norm(x, w.shape, w, b)

    return {
        "leaky_relu": F.leaky_relu,
        "leaky_relu 0.3": lambda x: F.leaky_relu(x, 0.3),
        "relu6": F.relu6,
        "elu": F.elu,
        "elu 0.5": lambda x: F.elu(x, 0.5),
        "silu": F.silu,
        "gelu": F.gelu,
        "gelu approximate": lambda x: F.gelu(x, approximate="tanh"),
        "softplus": F.softplus,
        "hard_sigmoid": F.hardsigmoid,
        "hard_swish": F.hardswish,
        "gap": lambda x: x.mean((1, 2)),
        "adaptiveavgpool 3x4": image(lambda x: F.adaptive_avg_pool2d(x, (3, 4))),
        "adaptiveavgpool 11x2": image(lambda x: F.adaptive_avg_pool2d(x, (11, 2))),
        "zeropad 1x2x3x4": image(lambda x: F.pad(x, (2, 4, 1, 3))),
        "crop 1x2x3x0": lambda x: x[:, 1:-3, 2:],
        "upsample 2x3": image(lambda x: F.interpolate(x, scale_factor=(2, 3))),
        "upsample 3x2 bilinear": image(lambda x: F.interpolate(
            x, scale_factor=(3, 2), mode="bilinear", align_corners=False)),
        "layernorm": layer_norm,
        "layernorm all_axes": layer_norm,
        "groupnorm 3": group_norm,
    }


def words(random):
    """Layers that need no more than their name, under a softmax and the squared error."""
    for text in by_words({}):
        model = Model(text + ", softmax", (7, 9, 6), 3, LossOpts(SQUARED))
        for value in model.parameters().values():
            value[...] = random.standard_normal(value.shape)
        p = {name: double(value) for name, value in model.parameters().items()}
        x = 3 * random.standard_normal((3, 7, 9, 6), dtype=np.float32)
        wide = double(x)
        y = by_words(p)[text](wide).softmax(-1)
        target = random.random(y.shape, dtype=np.float32)
        F.mse_loss(y, double(target, False)).backward()
        output, _, dx = model.run(x, target)
        compare(f"{text}: output", output, y.detach(), 1e-5)
        compare(f"{text}: input", dx, wide.grad, 1e-4)
        for name, gradient in model.gradients().items():
            compare(f"{text}: {name}", gradient, p[name].grad, 1e-4)


def same(random):
    """SAME at stride 1, which PyTorch knows, too: the odd row of zeros comes after."""
    for f in ((1, 2), (2, 3), (4, 4), (5, 6)):
        text = f"conv 4 {f[0]}x{f[1]} same, sigmoid"
        model = Model(text, (7, 9, 2), 2)
        p = model.parameters()
        x = random.standard_normal((2, 7, 9, 2), dtype=np.float32)
        w = double(p["conv2d_1.weight"], False).permute(3, 2, 0, 1)
        y = nhwc(F.conv2d(nchw(double(x, False)), w, padding="same")).sigmoid()
        target = random.random(y.shape, dtype=np.float32)
        loss = F.binary_cross_entropy(y, double(target, False)).item()
        output, ours, _ = model.run(x, target)
        compare(f"{text}: output", output, y, 1e-5)
        compare(f"{text}: binary cross-entropy", ours, loss, 1e-5)


def batch_norm(random):
    """Three batches: outputs, gradients, the statistics after them, and the output they lead to."""
    for text, momentum, epsilon in (("batchnorm", 0.1, 1e-5),
                                    ("batchnorm momentum 0.8 epsilon 0.5", 0.2, 0.5)):
        model = Model(text + ", softmax", (3, 5, 4), 2, LossOpts(SQUARED))
        norm = torch.nn.BatchNorm2d(4, epsilon, momentum).double()
        p = {name.split(".")[1]: value for name, value in model.parameters().items()}
        for role in ("weight", "bias"):
            p[role][...] = random.standard_normal(4)
            getattr(norm, role).data = double(p[role], False)
        for _ in range(3):
            x = random.standard_normal((2, 3, 5, 4), dtype=np.float32) * 3 + 1
            wide = double(x)
            y = nhwc(norm(nchw(wide))).softmax(-1)
            target = random.random(y.shape, dtype=np.float32)
            norm.zero_grad()
            F.mse_loss(y, double(target, False)).backward()
            output, _, dx = model.run(x, target)
            compare(f"{text}: output", output, y.detach(), 1e-5)
            compare(f"{text}: input", dx, wide.grad, 1e-4)
            for name, gradient in model.gradients().items():
                compare(f"{text}: {name}", gradient, getattr(norm, name.split(".")[1]).grad, 1e-4)
        for role in ("running_mean", "running_var"):
            compare(f"{text}: {role}", p[role], getattr(norm, role), 1e-6)
        y = nhwc(norm.eval()(nchw(double(x, False)))).softmax(-1)
        compare(f"{text}: evaluated", model.predict(x), y.detach(), 1e-5)


def losses(random):
    """Label smoothing and class weights: the loss, and the gradient that it sends back."""
    count = np.array([0.5, 2, 0.25, 1], np.float32)
    weights = torch.tensor(count, dtype=torch.float64)
    m, classes = 5, 4
    for smoothing, weighted in ((0.1, False), (0, True)):
        options = LossOpts(CROSS_ENTROPY, smoothing,
                           np.ctypeslib.as_ctypes(count) if weighted else None)
        model = Model("flatten, softmax", (1, 1, classes), m, options, classes=classes)
        x = 2 * random.standard_normal((m, 1, 1, classes), dtype=np.float32)
        y, wide = random.integers(0, classes, m, np.int32), double(x)
        loss = F.cross_entropy(wide.flatten(1), torch.tensor(y).long(),
                               weights if weighted else None, label_smoothing=smoothing)
        loss.backward()
        _, ours, dx = model.run(x, y)
        what = f"cross-entropy, smoothing {smoothing}{', class weights' if weighted else ''}"
        compare(what, ours, loss.item(), 1e-6)
        compare(f"{what}: input", dx, wide.grad, 1e-5)
    # Keras's BinaryCrossentropy(label_smoothing): y (1 - s) + s / 2.
    model = Model("flatten, sigmoid", (1, 1, 3), m, LossOpts(BINARY, 0.2))
    x = 2 * random.standard_normal((m, 1, 1, 3), dtype=np.float32)
    y, wide = random.integers(0, 2, (m, 3)).astype(np.float32), double(x)
    loss = F.binary_cross_entropy_with_logits(wide.flatten(1), double(y, False) * 0.8 + 0.1)
    loss.backward()
    _, ours, dx = model.run(x, y)
    compare("binary cross-entropy, smoothing", ours, loss.item(), 1e-6)
    compare("binary cross-entropy, smoothing: input", dx, wide.grad, 1e-5)


def gradients(random):
    """LeNet-5: the output, the loss and every gradient."""
    model = Model("lenet5", (28, 28, 1), 8)
    p = {name: double(value) for name, value in model.parameters().items()}
    x, y, wide, logits, loss = draw_batch(random, p)
    loss.backward()
    output, ours, dx = model.run(x, y)
    compare("lenet5: output", output, logits.softmax(1).detach(), 1e-5)
    compare("lenet5: loss", ours, loss.item(), 1e-6)
    compare("lenet5: input", dx, wide.grad, 1e-4)
    for name, gradient in model.gradients().items():
        compare(f"lenet5: {name}", gradient, p[name].grad, 1e-4)


def training(random, name, optimizer, theirs, rate, tolerance, clip):
    """20 steps of LeNet-5 on the same batches: the losses, and how far the weights went."""
    model = Model("lenet5", (28, 28, 1), 8, optimizer=optimizer)
    start = {key: value.copy() for key, value in model.parameters().items()}
    p = {key: double(value) for key, value in start.items()}
    stepper = theirs(p, rate)
    for step in range(1, 21):
        x, y, _, _, loss = draw_batch(random, p)
        stepper.zero_grad()
        loss.backward()
        clip(p.values())
        stepper.step()
        _, ours, _ = model.run(x, y)
        call(library.cn_session_step, model.session, rate)
        compare(f"{name}, step {step}: loss", ours, loss.item(), 1e-5)
    for key, value in model.parameters().items():
        way = p[key].detach().numpy() - start[key]
        compare(f"{name}, 20 steps: {key}", value - start[key], way, tolerance)


def optimizers(random):
    optim = torch.optim

    def plain(kind, **options):
        """All parameters alike: PyTorch decays all of them."""
        return lambda p, rate: kind(p.values(), lr=rate, **options)

    def grouped(kind, **options):
        """Weight decay as the library has it by default: not of biases."""
        decay = options.pop("weight_decay")
        return lambda p, rate: kind(
            [{"params": [v for v in p.values() if v.ndim > 1], "weight_decay": decay},
             {"params": [v for v in p.values() if v.ndim == 1], "weight_decay": 0}],
            lr=rate, **options)

    norm = lambda limit: lambda p: torch.nn.utils.clip_grad_norm_(list(p), limit)
    value = lambda limit: lambda p: torch.nn.utils.clip_grad_value_(list(p), limit)
    # Adam and RMSprop divide a gradient by its own size, so one that is next to nothing, and is
    # mostly rounding, moves a weight, too.
    for name, ours, theirs, rate, tolerance, clip in (
        ("SGD", Optimizer(SGD), plain(optim.SGD), 0.05, 2e-4, None),
        ("SGD with momentum", Optimizer(SGD, momentum=0.9), plain(optim.SGD, momentum=0.9), 0.02,
         2e-4, None),
        ("SGD with dampening", Optimizer(SGD, momentum=0.9, dampening=0.5),
         plain(optim.SGD, momentum=0.9, dampening=0.5), 0.02, 2e-4, None),
        ("Nesterov's momentum", Optimizer(SGD, momentum=0.9, nesterov=True),
         plain(optim.SGD, momentum=0.9, nesterov=True), 0.02, 2e-4, None),
        ("SGD with decay of all", Optimizer(SGD, momentum=0.9, weight_decay=0.1, decay_all=True),
         plain(optim.SGD, momentum=0.9, weight_decay=0.1), 0.02, 2e-4, None),
        ("SGD with decay", Optimizer(SGD, nesterov=True, momentum=0.8, weight_decay=0.1),
         grouped(optim.SGD, momentum=0.8, nesterov=True, weight_decay=0.1), 0.02, 2e-4, None),
        ("SGD clipped by norm", Optimizer(SGD, momentum=0.9, clip_norm=0.5),
         plain(optim.SGD, momentum=0.9), 0.05, 2e-4, norm(0.5)),
        ("SGD clipped by value", Optimizer(SGD, momentum=0.9, clip_value=0.01),
         plain(optim.SGD, momentum=0.9), 0.05, 2e-4, value(0.01)),
        ("Adam", Optimizer(ADAM), plain(optim.Adam), 1e-3, 3e-2, None),
        ("Adam with a large epsilon", Optimizer(ADAM, epsilon=1e-2, beta1=0.8, beta2=0.99),
         plain(optim.Adam, eps=1e-2, betas=(0.8, 0.99)), 1e-2, 2e-4, None),
        ("Adam with decay of all", Optimizer(ADAM, weight_decay=0.1, decay_all=True, epsilon=1e-4),
         plain(optim.Adam, weight_decay=0.1, eps=1e-4), 1e-3, 2e-3, None),
        ("AdamW", Optimizer(ADAMW, weight_decay=0.5, decay_all=True, epsilon=1e-4),
         plain(optim.AdamW, weight_decay=0.5, eps=1e-4), 1e-3, 2e-3, None),
        ("AdamW, decay by default", Optimizer(ADAMW, epsilon=1e-4),
         grouped(optim.AdamW, weight_decay=0.01, eps=1e-4), 1e-3, 2e-3, None),
        ("RMSprop", Optimizer(RMSPROP, epsilon=1e-3), plain(optim.RMSprop, eps=1e-3), 1e-3, 1e-3,
         None),
        ("RMSprop with all", Optimizer(RMSPROP, momentum=0.5, alpha=0.9, epsilon=1e-3,
                                       weight_decay=0.1, decay_all=True),
         plain(optim.RMSprop, momentum=0.5, alpha=0.9, eps=1e-3, weight_decay=0.1), 5e-4, 1e-3,
         None),
    ):
        training(random, name, ours, theirs, rate, tolerance, clip or (lambda p: None))


def main():
    random = np.random.default_rng(1)
    layers(random)
    other_convolutions(random)
    words(random)
    same(random)
    batch_norm(random)
    losses(random)
    gradients(random)
    optimizers(random)
    print(f"{c_interface.failures} differences from PyTorch {torch.__version__}")
    sys.exit(c_interface.failures > 0)


main()
