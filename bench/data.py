#!/usr/bin/env python3
"""Decoding and augmentation by convnet and by PyTorch's DataLoader, on the same files, turn by turn.

    script/bench data [--images N] [--side N] [--batch N] [--threads N] [--repeats N]
                      [--folder FOLDER] [--json]

Each makes the batches of an epoch: a JPEG file decoded, a part of it cut out at random, brought to
SIDE x SIDE, mirrored at random and normalized. PyTorch does it with Pillow and torchvision's
transforms, in as many worker processes as we have threads. The files are made by
bench/photographs.py where there is no --folder. What counts is the median of the repeats' ratios.

Then our batches are made for a training that takes longer than they do: it should not wait.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time


class Ours:
    name = "convnet"

    def __init__(self, program, options, folder):
        self.process = subprocess.Popen(
            [program, folder, str(options.side), str(options.batch), str(options.threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def epoch(self, work=0.0):
        print(work, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        if not line:
            sys.exit("data: bench_batches ended")
        return json.loads(line)

    def close(self):
        self.process.kill()  # its input would not end while a worker of PyTorch's has it, too
        self.process.wait()


class Peer:
    name = "PyTorch's DataLoader"

    def __init__(self, options, folder):
        from torchvision import datasets, transforms
        import torch

        torch.set_num_threads(1)
        change = transforms.Compose([
            transforms.RandomResizedCrop(options.side), transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])
        self.loader = torch.utils.data.DataLoader(
            datasets.ImageFolder(folder, change), options.batch, shuffle=True,
            num_workers=options.threads, persistent_workers=True)

    def epoch(self):
        start, images = time.perf_counter(), 0
        for x, _ in self.loader:
            images += len(x)
        return {"images": images, "seconds": time.perf_counter() - start}

    def close(self):
        del self.loader


def make_peer(options, folder):
    try:
        return Peer(options, folder)
    except ImportError as reason:
        print(f"data: left out PyTorch's DataLoader: {reason}", file=sys.stderr)
        return None


def measure(contenders, repeats):
    """{name: images per second, one per repeat}, after an epoch that does not count."""
    found = {c.name: [] for c in contenders}
    for repeat in range(repeats + 1):
        for contender in contenders:
            epoch = contender.epoch()
            if repeat > 0:
                found[contender.name].append(epoch["images"] / epoch["seconds"])
    return found


def report(options, found, waiting):
    mine = found["convnet"]
    for name, rates in found.items():
        ratios = sorted(m / r for m, r in zip(mine, rates))
        line = {"event": "data", "library": name, "images_per_second": statistics.median(rates),
                "side": options.side, "batch": options.batch, "threads": options.threads,
                "ratio": [ratios[0], statistics.median(ratios), ratios[-1]]}
        if options.json:
            print(json.dumps(line))
            continue
        rest = "" if name == "convnet" else (
            f"   convnet is {line['ratio'][1]:.2f} times as fast, "
            f"{ratios[0]:.2f} to {ratios[-1]:.2f}")
        print(f"{name:22} {line['images_per_second']:8.0f} images/s{rest}")
    if options.json:
        print(json.dumps({"event": "waiting", **waiting}))
    else:
        print(f"a training of {waiting['work']:.2f} s per batch, which takes {waiting['made']:.2f} s "
              f"to make, waited {waiting['waited']:.3f} s of {waiting['seconds']:.1f} s")


def main():
    parser = argparse.ArgumentParser(prog="script/bench data", description=__doc__.split("\n")[0])
    parser.add_argument("program")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = options.folder or made
        if not options.folder:
            import photographs

            photographs.write(folder, options.images, os.cpu_count() or 1)
        ours = Ours(options.program, options, folder)
        peer = make_peer(options, folder)
        found = measure([ours, peer] if peer else [ours], options.repeats)
        made_in = options.batch / statistics.median(found["convnet"])
        waiting = ours.epoch(1.5 * made_in)
        report(options, found, {"work": 1.5 * made_in, "made": made_in,
                                "waited": waiting["waited"], "seconds": waiting["seconds"]})
        ours.close()
        if peer:
            peer.close()


if __name__ == "__main__":
    main()
