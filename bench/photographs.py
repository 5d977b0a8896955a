"""Photographs that nobody took: JPEG files with the statistics of natural images.

    python3 bench/photographs.py FOLDER COUNT [--processes N]

Writes FOLDER/CLASS/NUMBER.jpg, 500 x 375 and quality 90, in ten classes. What there is is left as it
is, so that a run that was ended goes on. A ground whose amplitudes fall with the frequency f as 1/f,
as those of photographs do (D. Field, 1987), has smooth shapes of other grounds upon it. An image is
a function of its number alone.
"""
import argparse
import math
import multiprocessing
import os
import random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

WIDTH, HEIGHT, CLASSES = 500, 375, 10
FIELDS, SIDE = 6, 1024  # grounds, from which images are cut


def noise(generator):
    """A plane (SIDE, SIDE) of amplitudes 1/f and of random phases, of deviation 1."""
    f = np.hypot(np.fft.fftfreq(SIDE)[:, None], np.fft.rfftfreq(SIDE)[None, :])
    f[0, 0] = np.inf
    plane = np.fft.irfft2(np.fft.rfft2(generator.standard_normal((SIDE, SIDE))) / f, (SIDE, SIDE))
    return plane / plane.std()


def make_field(seed):
    """A ground in color: mostly light and dark, as nature's colors are close to gray."""
    generator = np.random.default_rng(seed)
    light = noise(generator)
    planes = [128 + 45 * light + 14 * noise(generator) for _ in range(3)]
    return Image.fromarray(np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8))


def cut(fields, draw):
    left, top = draw.randrange(SIDE - WIDTH), draw.randrange(SIDE - HEIGHT)
    image = draw.choice(fields).crop((left, top, left + WIDTH, top + HEIGHT))
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if draw.random() < 0.5 else image


def make_image(fields, number):
    draw = random.Random(number)
    image = cut(fields, draw)
    hue = tuple(int(128 + 127 * math.sin(number % CLASSES + 2 * k)) for k in range(3))
    for _ in range(1 + number % 3):
        size = draw.randint(30, 110)
        box = (2 * size, 2 * size)
        mask = Image.new("L", (size // 2, size // 2))
        ImageDraw.Draw(mask).ellipse((3, 3, size // 2 - 4, draw.randint(size // 4, size // 2 - 4)), 255)
        mask = mask.filter(ImageFilter.GaussianBlur(draw.uniform(0.3, 2))).resize(box)
        place = draw.randrange(WIDTH - size), draw.randrange(HEIGHT - size)
        shape = Image.blend(cut(fields, draw).crop((0, 0, *box)), Image.new("RGB", box, hue), 0.4)
        image.paste(shape, place, mask)
    return image


def path_of(folder, number):
    return os.path.join(folder, f"{number % CLASSES}", f"{number:06d}.jpg")


def write_share(share):
    folder, first, step, count = share
    fields = [make_field(seed) for seed in range(FIELDS)]
    for number in range(first, count, step):
        path = path_of(folder, number)
        if os.path.exists(path):
            continue
        make_image(fields, number).save(path + ".part", "JPEG", quality=90)
        os.rename(path + ".part", path)


def write(folder, count, processes):
    for label in range(CLASSES):
        os.makedirs(os.path.join(folder, f"{label}"), exist_ok=True)
    shares = [(folder, first, processes, count) for first in range(processes)]
    if processes == 1:
        write_share(shares[0])
        return
    with multiprocessing.Pool(processes) as pool:
        pool.map(write_share, shares)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder")
    parser.add_argument("count", type=int)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args()
    write(options.folder, options.count, options.processes)


if __name__ == "__main__":
    main()
