#!/usr/bin/env python3
"""Networks from ONNX files by convnet and by onnxruntime, in one process, turn by turn.

    script/bench onnx [NETWORK...] [--folder DIR] [--exporter NAME] [--threads N] [--repeats N] [--json]

Torchvision's networks with random weights, one image at a time, as PyTorch's exporter writes them
(tests/onnx_networks.py). Both libraries read the same file; their outputs are compared before anything is
measured. In every repeat each runs once, for at least 10 ms, and what counts is the median of the repeats'
ratios. One thread is timed by the time that it had a processor, several by the clock on the wall.
"""
import argparse
import os
import sys
import tempfile
from ctypes import byref, c_void_p

try:
    import numpy as np
    import onnxruntime
except ImportError as reason:
    sys.exit(f"onnx: needs numpy and onnxruntime: {reason}")

import networks
import ours

sys.path.append(os.path.join(ours.SOURCE, "tests"))


class Model(ours.Model):
    """A network from a file."""

    def __init__(self, library, path, threads):
        self.api, self.model, self.threads, self.sessions = library, c_void_p(), threads, []
        ours.call(library.cn_model_load, byref(self.model), path.encode())


def runtime(path, x, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    given = {session.get_inputs()[0].name: x}
    return lambda: session.run(None, given)[0]


def bench(options, library, name, path, side):
    x = np.random.default_rng(3).standard_normal((1, 3, side, side)).astype(np.float32)
    model = Model(library, path, options.threads)
    last = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    run, found = model.runner(last)
    theirs = runtime(path, x, options.threads)
    expected = theirs()
    if found.ndim == 4:
        found = found.transpose(0, 3, 1, 2)
    apart = np.abs(found.reshape(expected.shape) - expected).max() / np.ptp(expected)
    if not apart < 1e-4:
        sys.exit(f"{name}: outputs differ by {apart:.1e} of their range")
    seconds = networks.measure(options, {"convnet": run, "onnxruntime": theirs})
    networks.report(options, name, "run", 1, 0, seconds)
    model.close()


def main():
    parser = argparse.ArgumentParser(prog="script/bench onnx", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shared_object", help=argparse.SUPPRESS)
    parser.add_argument("networks", nargs="*", help="default: all of tests/onnx_networks.py")
    parser.add_argument("--folder", help="where the files are, or are written and stay; made if need be")
    parser.add_argument("--exporter", default="new", choices=["new", "old"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=11)
    parser.add_argument("--json", action="store_true", help="an object a line")
    options = parser.parse_intermixed_args()
    library = ours.open_library(options.shared_object)
    import onnx_networks
    if options.folder:
        os.makedirs(options.folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name in options.networks or onnx_networks.NETWORKS:
            path = onnx_networks.export(name, options.exporter, options.folder or scratch)
            bench(options, library, name, path, onnx_networks.NETWORKS[name][1])


if __name__ == "__main__":
    main()
