"""The first wrong cell of a result as a small picture: window, filter, expected and got."""
import numpy as np
import textbook


def text(value):
    value = float(value)
    return f"{value:.0f}" if value == round(value) and abs(value) < 1e6 else f"{value:.4g}"


def grid(a, title):
    """A matrix as lines, its title above."""
    cells = [[text(v) for v in row] for row in np.atleast_2d(a)]
    width = max([len(cell) for row in cells for cell in row] + [1])
    lines = [" ".join(cell.rjust(width) for cell in row) for row in cells]
    return [title] + ["  " + line for line in lines]


def beside(*blocks):
    """Blocks of lines next to each other."""
    height = max(len(b) for b in blocks)
    columns = []
    for b in blocks:
        width = max(len(line) for line in b)
        columns.append([line.ljust(width) for line in b] + [" " * width] * (height - len(b)))
    return ["   ".join(row).rstrip() for row in zip(*columns)]


def shape(a):
    return " x ".join(map(str, np.shape(a)))


def arguments(name, case):
    """ "A_prev 2 x 5 x 7 x 2, W 3 x 3 x 2 x 2, stride 2, pad 1": what a case consists of."""
    flat = [v for one in case for v in (one if isinstance(one, tuple) else (one,))]
    arrays = iter({"zero_pad": ["X"], "conv_single_step": ["a_slice_prev", "W", "b"],
                   "conv_forward": ["A_prev", "W", "b"], "pool_forward": ["A_prev"],
                   "conv_backward": ["dZ", "A_prev", "W", "b"], "pool_backward": ["dA", "A_prev"],
                   "create_mask_from_window": ["x"]}.get(name, []))  # fmt: skip
    words = []
    for v in flat:
        if isinstance(v, np.ndarray):
            words.append(f"{next(arrays)} {shape(v)}")
        elif isinstance(v, dict):
            words += [f"{key} {number}" for key, number in v.items()]
        elif isinstance(v, str):
            words.append(f'mode "{v}"')
        else:
            words.append({"zero_pad": "pad ", "distribute_value": "dz "}.get(name, "") + text(v))
    if name == "distribute_value":
        words = [f"dz {text(case[0])}", f"shape {case[1]}"]
    return ", ".join(words)


def draw(name, case, right, found):
    """The picture, or as much of it as the result allows."""
    lines = [f"with {arguments(name, case)}"]
    label = {"zero_pad": "X_pad", "conv_single_step": "Z", "conv_forward": "Z", "pool_forward": "A",
             "create_mask_from_window": "mask", "distribute_value": "a",
             "pool_backward": "dA_prev"}.get(name, "")  # fmt: skip
    if isinstance(right, tuple) and isinstance(found, tuple) and len(found) == len(right):
        for part, r, f in zip(("dA_prev", "dW", "db"), right, found):
            if not (isinstance(f, np.ndarray) and f.shape == r.shape and np.allclose(f, r)):
                label, right, found = part, r, f
                break
    if isinstance(found, np.ndarray) and isinstance(right, np.ndarray):
        if found.size == right.size == 1 and found.shape != right.shape:
            found, right = found.reshape(()), right.reshape(())
        if found.shape != right.shape:
            lines.append(f"{label} has shape {shape(found) or 'of one number'}, expected "
                         f"{shape(right) or 'one number'}")  # fmt: skip
        else:
            differs = ~np.isclose(found, right, rtol=1e-6, atol=1e-7)
            at = tuple(int(i) for i in np.argwhere(differs)[0])
            cell = f"{label}[{', '.join(map(str, at))}]" if at else label
            lines.append(f"the first wrong cell is {cell}: expected {text(right[at])}, got "
                         f"{text(found[at])}")  # fmt: skip
            lines += [""] + around(name, label, case, at if at else (0,) * 4)
    return "\n".join("    " + line if line else "" for line in lines) + "\n"


def around(name, label, case, at):
    """What the cell is made of."""
    if name == "zero_pad":
        i, _, _, c = at
        return grid(case[0][i, :, :, c], f"X, example {i}, channel {c}")
    if name == "conv_single_step":
        a, W, b = case
        blocks = []
        for k in range(a.shape[2]):
            blocks.append(beside(grid(a[:, :, k], f"window, channel {k}"),
                                 grid(W[:, :, k], f"filter, channel {k}")))  # fmt: skip
        return [line for block in blocks for line in block] + [f"bias {text(b.item())}"]
    if name == "conv_forward":
        return of_convolution(case, at)
    if name == "pool_forward":
        A_prev, h, mode = case
        i, y, x, c = at
        top, left, f = y * h["stride"], x * h["stride"], h["f"]
        where = f"rows {top} to {top + f - 1}, columns {left} to {left + f - 1}"
        return grid(A_prev[i, top : top + f, left : left + f, c],
                    f"window of A_prev, example {i}, channel {c}, {where}")  # fmt: skip
    if name == "create_mask_from_window":
        return grid(case[0], "x")
    if name == "conv_backward":
        return of_conv_backward(label, case, at)
    if name == "pool_backward":
        return of_pool_backward(case, at)
    return []


def of_convolution(case, at):
    A_prev, W, b, h = case
    i, y, x, c = at
    f, stride, pad = W.shape[0], h["stride"], h["pad"]
    padded = textbook.zero_pad(A_prev, pad)[i]
    top, left = y * stride, x * stride
    lines = [f"it is made of rows {top} to {top + f - 1} and columns {left} to {left + f - 1} of "
             f"{'A_prev_pad' if pad else 'A_prev'}, example {i}, and of filter {c}"]  # fmt: skip
    for k in range(A_prev.shape[3]):
        lines += beside(grid(padded[top : top + f, left : left + f, k], f"window, channel {k}"),
                        grid(W[:, :, k, c], f"filter, channel {k}"))  # fmt: skip
    return lines + [f"bias {text(b[0, 0, 0, c])}"]


def covering(y, x, n_H, n_W, f, stride):
    """The outputs whose windows hold the pixel (y, x) of the padded image."""
    return [(h, w) for h in range(n_H) for w in range(n_W)
            if 0 <= y - h * stride < f and 0 <= x - w * stride < f]  # fmt: skip


def of_conv_backward(label, case, at):
    dZ, (A_prev, W, b, h) = case
    stride, pad, f = h["stride"], h["pad"], W.shape[0]
    if label == "db":
        c = at[3]
        return grid(dZ[0, :, :, c], f"dZ, example 0, channel {c}, which bias {c} reaches")
    if label == "dW":
        u, v, k, c = at
        padded = textbook.zero_pad(A_prev, pad)
        n_H, n_W = dZ.shape[1:3]
        seen = padded[0, u : u + n_H * stride : stride, v : v + n_W * stride : stride, k]
        return beside(
            grid(seen[:n_H, :n_W], f"what the weight meets, example 0, channel {k}"),
            grid(dZ[0, :, :, c], f"dZ, example 0, channel {c}"))  # fmt: skip
    i, y, x, k = at
    found = covering(y + pad, x + pad, *dZ.shape[1:3], f, stride)
    lines = [f"{len(found)} window{'s' if len(found) != 1 else ''} hold this pixel; the first filter "
             f"meets it so:"]  # fmt: skip
    for p, q in found[:6]:
        weight = W[y + pad - p * stride, x + pad - q * stride, k, 0]
        lines.append(f"  output ({p}, {q}): dZ {text(dZ[i, p, q, 0])}, weight {text(weight)}")
    return lines


def of_pool_backward(case, at):
    dA, (A_prev, h), mode = case
    f, stride = h["f"], h["stride"]
    i, y, x, c = at
    found = covering(y, x, *dA.shape[1:3], f, stride)
    lines = [f"{len(found)} window{'s' if len(found) != 1 else ''} hold this pixel"]
    for p, q in found[:4]:
        top, left = p * stride, q * stride
        part = A_prev[i, top : top + f, left : left + f, c]
        title = f"window of output ({p}, {q}), dA {text(dA[i, p, q, c])}"
        if mode == "max":
            mask = (part == part.max()).astype(int)
            lines += beside(grid(part, title), grid(mask, "mask"))
        else:
            lines += grid(part, title)
    return lines
