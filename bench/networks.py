#!/usr/bin/env python3
"""Whole networks by convnet, PyTorch, onnxruntime and ncnn, in one process, turn by turn.

    script/bench networks [--network NAME] [--what train|run] [--threads N] [--repeats N]
                          [--quick] [--no-compile] [--json]

Training steps (forward, cross-entropy, backward, SGD with momentum 0.9) and inference, one image
at a time. All run the same function: every library gets the graph and the parameters of our model
file, and the outputs, or the first step's loss, are compared before anything is measured.

In every repeat each contender runs once, for at least 10 ms, so that a ratio compares neighbors
in time; what counts is the median of the repeats' ratios. One thread is timed by the time that it
had a processor, several by the clock on the wall. What is not installed is left out, and named.
"""
import argparse
import contextlib
import json
import logging
import statistics
import sys
import tempfile
import time
import warnings

warnings.filterwarnings("ignore")

try:
    import numpy as np
except ImportError as reason:
    sys.exit(f"networks: needs numpy: {reason}")

import ours
import peers

logging.getLogger("torch").setLevel(logging.ERROR)


def vgg(pairs, dense):
    """The text form (docs/models.md) of 3 x 3 convolutions in groups, and dense layers."""
    layers = []
    for filters, count in pairs:
        layers += [f"conv {filters} 3x3 same, relu"] * count + ["maxpool 2"]
    layers += [f"dense {units}, relu" for units in dense[:-1]]
    return ", ".join([*layers, f"dense {dense[-1]}"])


SMALL_VGG = vgg([(64, 2), (128, 2), (256, 2)], [10])
VGG16 = vgg([(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)], [4096, 4096, 1000])

# name, text form, (n_H, n_W, n_C), classes, whether to run, batch to train with (0: not at all)
NETWORKS = [
    ("lenet5", "lenet5", (28, 28, 1), 10, True, 64),
    ("small_vgg", SMALL_VGG, (32, 32, 3), 10, True, 64),
    ("mobilenet-v2", "mobilenet-v2", (224, 224, 3), 1000, True, 0),
    ("resnet18", "resnet18", (224, 224, 3), 1000, True, 0),
    ("resnet18-cifar", "resnet18-cifar", (32, 32, 3), 10, False, 64),
    ("resnet50", "resnet50", (224, 224, 3), 1000, True, 16),
    ("vgg16", VGG16, (224, 224, 3), 1000, True, 0),
]


# ---- measuring


def calls_of(run, clock):
    run()
    start = clock()
    run()
    return int(0.01 / max(clock() - start, 1e-7)) + 1


def quartiles(values):
    ordered, n = sorted(values), len(values)
    return ordered[n // 4], statistics.median(ordered), ordered[n - 1 - n // 4]


def rest():
    """Waits until no thread of this process works: the last contender's wait for more in a loop,
    onnxruntime's for 40 ms of a processor."""
    for _ in range(100):
        before = time.process_time()
        time.sleep(0.02)
        if time.process_time() - before < 0.002:
            return


def measure(options, contenders):
    """{name: seconds of a call, one a repeat}"""
    clock = time.process_time if options.threads == 1 else time.perf_counter
    calls = {name: calls_of(run, clock) for name, run in contenders.items()}
    seconds = {name: [] for name in contenders}
    for _ in range(options.repeats):
        for name, run in contenders.items():
            if options.threads > 1:
                rest()
                run()
            start = clock()
            for _ in range(calls[name]):
                run()
            seconds[name].append((clock() - start) / calls[name])
    return seconds


def report(options, network, what, batch, parameters, seconds):
    mine = seconds["convnet"]
    for name, theirs in seconds.items():
        low, middle, high = quartiles([t / o for t, o in zip(theirs, mine)])
        median = statistics.median(theirs)
        if options.json:
            print(json.dumps({"event": "network", "network": network, "what": what, "batch": batch,
                              "threads": options.threads, "parameters": parameters,
                              "library": name, "seconds": median, "best_seconds": min(theirs),
                              "images_per_second": batch / median, "ratio": [low, middle, high]}))
            continue
        spread = "" if name == "convnet" else f"  {middle:6.2f}  {low:.2f} to {high:.2f}"
        print(f"{network if name == 'convnet' else '':14} {what if name == 'convnet' else '':6}"
              f"{name:24} {1e3 * median:10.3f} ms, best {1e3 * min(theirs):10.3f} "
              f"{batch / median:10.1f} /s{spread}")
    others = {n: s for n, s in seconds.items() if n != "convnet"}
    if others and not options.json:
        best = min(others, key=lambda n: statistics.median(others[n]))
        ratio = statistics.median([t / o for t, o in zip(others[best], mine)])
        print(f"{'':20} against the fastest other, {best}: {ratio:.2f} times\n")
    sys.stdout.flush()


def agrees(name, what, found, expected, tolerance):
    """Whether the contender computes what we compute; says so if not."""
    error = np.abs(np.asarray(found) - expected).max()
    if not error <= tolerance:
        peers.missing(name, f"its {what} differs from ours by {error:.1e}")
    return error <= tolerance


# ---- a network


def bench_run(options, model, graph, parameters, x):
    run, expected = model.runner(x)
    contenders = {"convnet": run}
    folder = tempfile.TemporaryDirectory()
    with folder, peers.torch.no_grad() if peers.torch else contextlib.nullcontext():
        for peer, run in peers.runners(graph, parameters, x, options.threads, options.compile,
                                       folder.name):
            if agrees(peer, "output", run(), expected, 0.01 * np.ptp(expected)):
                contenders[peer] = run
        return measure(options, contenders)


def bench_train(options, model, graph, parameters, x, labels):
    step = model.trainer(x, labels)
    contenders, expected = {"convnet": step}, step()
    if peers.torch:
        for peer, step in peers.torch_trainers(graph, parameters, x, labels, options.compile):
            if agrees(peer, "first loss", step(), expected, 1e-3 * abs(expected)):
                contenders[peer] = step
    return measure(options, contenders)


def bench(options, library, name, text, shape, classes, runs, batch):
    draw = np.random.default_rng(1)
    if options.quick:
        batch = batch // 4
    model = ours.Model(library, text, shape, classes, options.threads)
    graph, parameters = model.saved()
    if any(".running_" in parameter for parameter in parameters):
        model.gather_statistics(draw.standard_normal((2, *shape)).astype(np.float32), 30)
        graph, parameters = model.saved()
    count = peers.trained_parameters(parameters)
    if runs and options.what != "train":
        x = draw.standard_normal((1, *shape)).astype(np.float32)
        seconds = bench_run(options, model, graph, parameters, x)
        report(options, name, "run", 1, count, seconds)
    if batch and options.what != "run":
        x = draw.standard_normal((batch, *shape)).astype(np.float32)
        labels = draw.integers(0, classes, batch).astype(np.int32)
        seconds = bench_train(options, model, graph, parameters, x, labels)
        report(options, name, "train", batch, count, seconds)
    model.close()


def parse():
    parser = argparse.ArgumentParser(prog="script/bench networks", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared_object", help=argparse.SUPPRESS)
    parser.add_argument("--network", default="", help="only networks whose name contains this")
    parser.add_argument("--what", choices=["train", "run"], help="only that")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, help="default: 11, quick 3")
    parser.add_argument("--json", action="store_true", help="an object a line")
    parser.add_argument("--no-compile", dest="compile", action="store_false",
                        help="leave out torch.compile, which takes minutes to prepare")
    parser.add_argument("--quick", action="store_true",
                        help="a quarter of the batches, few repeats, no torch.compile")
    options = parser.parse_args()
    options.repeats = options.repeats or (3 if options.quick else 11)
    options.compile = options.compile and not options.quick
    return options


def main():
    options = parse()
    library = ours.open_library(options.shared_object)
    versions = {"convnet": f"{library.cn_version().decode()} ({library.cn_isa().decode()})",
                **peers.versions()}
    if peers.torch:
        peers.torch.set_num_threads(options.threads)
    if options.json:
        print(json.dumps({"event": "machine", "threads": options.threads, **versions}), flush=True)
    else:
        print(", ".join(f"{k} {v}" for k, v in versions.items()), f"; threads: {options.threads}\n")
    found = [n for n in NETWORKS if options.network in n[0]]
    if not found:
        sys.exit(f"networks: none is called {options.network}")
    for network in found:
        bench(options, library, *network)


if __name__ == "__main__":
    main()
