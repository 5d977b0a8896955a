#!/usr/bin/env python3
"""Tables and a plot of what script/bench printed with --json.

    bench/report.py FILE...                 of layers: our speed and share of peak, the ratio
    bench/report.py --networks FILE...      of networks: our time, the others' and the ratio; a
                                            time is the median, and in brackets the best
    bench/report.py --roofline OUT FILE     of layers: the forward passes under the machine's two
                                            limits, as SVG

Layers may come from several releases of oneDNN, a file each: the fastest counts, so the smallest
ratio.
"""
import json
import math
import sys

DIRECTIONS = ["forward", "backward data", "backward weights"]


def read(path):
    with open(path) as lines:
        return [json.loads(line) for line in lines]


def table(paths):
    rows, releases = {}, []
    for path in paths:
        release = "?"
        for event in read(path):
            if event["event"] == "machine":
                release = event["onednn"]
                releases.append(release)
            elif event["event"] == "layer":
                best = rows.setdefault(event["layer"], {})
                key = event["direction"]
                if key not in best or event["ratio"][1] < best[key]["ratio"][1]:
                    best[key] = dict(event, release=release)
    print(f"oneDNN {', '.join(releases)}; GFLOP/s (share of peak), and times oneDNN's speed\n")
    print("| layer | " + " | ".join(DIRECTIONS) + " |\n|---|" + "---|" * len(DIRECTIONS))
    logs = {d: [] for d in DIRECTIONS}
    for layer, found in rows.items():
        cells = []
        for d in DIRECTIONS:
            if d not in found:
                cells.append("")
                continue
            low, middle, high = found[d]["ratio"]
            logs[d].append(math.log(middle))
            cells.append(f"{found[d]['gflops'][1]:.0f} ({100 * found[d]['share_of_peak']:.0f} %) "
                         f"**{middle:.2f}** [{low:.2f}, {high:.2f}]")
        print(f"| `{layer}` | " + " | ".join(cells) + " |")
    means = [f"**{math.exp(sum(v) / len(v)):.2f}**" if v else "" for v in logs.values()]
    print("| geometric mean | " + " | ".join(means) + " |")


def cell(event, ratio):
    digits = 3 if event["seconds"] < 0.01 else 1
    words = (f"{1e3 * event['seconds']:.{digits}f} ms "
             f"({1e3 * event['best_seconds']:.{digits}f})")
    if ratio:
        low, middle, high = event["ratio"]
        words += f" **{middle:.2f}** [{low:.2f}, {high:.2f}]"
    return words


def networks(paths):
    """A row for each network, batch and number of threads; of PyTorch its fastest way."""
    rows, peers = {}, ["PyTorch", "onnxruntime", "ncnn"]
    for event in (e for path in paths for e in read(path) if e["event"] == "network"):
        key = (event["network"], event["what"], event["batch"], event["threads"])
        rows.setdefault(key, {})[event["library"]] = event
    print("| network | | threads | convnet | " + " | ".join(peers) + " | fastest other |\n"
          "|---|---|---|---|" + "---|" * (len(peers) + 1))
    for (network, what, batch, threads), found in rows.items():
        cells, others = [cell(found.pop("convnet"), False)], list(found.values())
        for peer in peers:
            ways = [e for e in others if e["library"].startswith(peer)]
            best = min(ways, key=lambda e: e["seconds"], default=None)
            way = best["library"][len(peer):].strip() if best else ""
            cells.append(f"{way} {cell(best, True)}".strip() if best else "")
        fastest = min(others, key=lambda e: e["seconds"], default=None)
        ratio = f"{fastest['library'].split()[0]} **{fastest['ratio'][1]:.2f}**" if fastest else ""
        print(f"| `{network}` | {what}, {batch} | {threads} | " + " | ".join([*cells, ratio])
              + " |")


# ---- the plot: both axes are logarithms

WIDTH, HEIGHT, LEFT, TOP, LEGEND = 960, 460, 60, 20, 210
X_RANGE, Y_RANGE = (4, 512), (16, 256)


def place(x, y):
    def along(value, span):
        return (math.log2(value) - math.log2(span[0])) / (math.log2(span[1]) - math.log2(span[0]))
    return (LEFT + along(x, X_RANGE) * (WIDTH - LEFT - LEGEND),
            TOP + (1 - along(y, Y_RANGE)) * (HEIGHT - TOP - 50))


def text(x, y, words, anchor="start", size=12):
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="{size}">{words}</text>'


def roofline(out, path):
    events = read(path)
    machine = next(e for e in events if e["event"] == "machine")
    peak, memory = machine["peak_gflops"], machine["memory_gbytes"]
    drawn = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
             'font-family="sans-serif" fill="#222">',
             f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
    right, bottom = place(X_RANGE[1], Y_RANGE[0])
    for power in range(2, 10):
        x, y = place(2**power, 2**power)
        drawn.append(f'<path d="M{x:.0f} {TOP}V{bottom:.0f}" stroke="#ddd"/>')
        drawn.append(text(x, bottom + 16, 2**power, "middle"))
        if Y_RANGE[0] <= 2**power <= Y_RANGE[1]:
            drawn.append(f'<path d="M{LEFT} {y:.0f}H{right:.0f}" stroke="#ddd"/>')
            drawn.append(text(LEFT - 6, y + 4, 2**power, "end"))
    drawn.append(text(right / 2, HEIGHT - 8, "operations a byte, each tensor moved once", "middle"))
    drawn.append(text(LEFT + 6, TOP + 12, "GFLOP/s"))
    start = max(X_RANGE[0], Y_RANGE[0] / memory)
    points = [place(start, start * memory), place(peak / memory, peak), place(X_RANGE[1], peak)]
    drawn.append('<polyline fill="none" stroke="#b33" stroke-width="2" points="'
                 + " ".join(f"{x:.0f},{y:.0f}" for x, y in points) + '"/>')
    drawn.append(text(points[1][0], points[1][1] - 6, f"{peak:.0f} GFLOP/s of multiply-adds"))
    drawn.append(text(points[0][0] + 8, points[0][1] - 24, f"{memory:.0f} GB/s of memory"))
    forward = [e for e in events if e["event"] == "layer" and e["direction"] == "forward"]
    for number, event in enumerate(forward, 1):
        x, y = place(event["operations_a_byte"], event["gflops"][1])
        drawn.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="4" fill="#26c"/>')
        drawn.append(text(x + 6, y + 4, number, size=11))
        drawn.append(text(right + 16, TOP + 20 * number, f"{number}  {event['layer']}"))
    with open(out, "w") as file:
        file.write("\n".join(drawn) + "\n</svg>\n")


if __name__ == "__main__":
    if len(sys.argv) == 4 and sys.argv[1] == "--roofline":
        roofline(sys.argv[2], sys.argv[3])
    elif len(sys.argv) > 2 and sys.argv[1] == "--networks":
        networks(sys.argv[2:])
    elif len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        table(sys.argv[1:])
    else:
        sys.exit(__doc__)
