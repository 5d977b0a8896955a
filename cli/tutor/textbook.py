"""The eight functions as the textbook has them, and each again with the mistakes that are made.

A mistake is a word, `slip`, that turns one line of a function into the wrong one; "" is right. What
a learner's function does is compared with each of them, so a mistake is named only where it explains
every result.
"""
import numpy as np


def zero_pad(X, pad, slip=""):
    sides = {"": [(0, 0), (pad, pad), (pad, pad), (0, 0)],
             "pads-examples": [(pad, pad), (pad, pad), (pad, pad), (0, 0)],
             "pads-channels": [(0, 0), (pad, pad), (pad, pad), (pad, pad)],
             "pads-all": [(pad, pad)] * 4,
             "rows-only": [(0, 0), (pad, pad), (0, 0), (0, 0)],
             "columns-only": [(0, 0), (0, 0), (pad, pad), (0, 0)],
             "before-only": [(0, 0), (pad, 0), (pad, 0), (0, 0)],
             "after-only": [(0, 0), (0, pad), (0, pad), (0, 0)],
             "one-more": [(0, 0), (pad + 1, pad + 1), (pad + 1, pad + 1), (0, 0)],
             "not-padded": [(0, 0)] * 4}  # fmt: skip
    around = sides.get(slip, sides[""])
    if slip == "edge":
        return np.pad(X, around, mode="edge")
    if slip == "ones":
        return np.pad(X, around, constant_values=1)
    if slip == "inside-minus-zero":
        made = np.pad(0 * X, around)
        made[:, pad:-pad, pad:-pad] = X
        return made
    return np.pad(X, around)


def conv_single_step(a_slice_prev, W, b, slip=""):
    if slip == "no-product":
        return np.sum(a_slice_prev + W) + b.item()
    s = a_slice_prev * W
    if slip == "no-sum":
        return s + b
    if slip == "mean":
        return np.mean(s) + b.item()
    if slip == "bias-per-element":
        return np.sum(s + b)
    if slip == "bias-missing":
        return np.sum(s)
    if slip == "rotated":
        return np.sum(a_slice_prev * W[::-1, ::-1]) + b.item()
    if slip == "first-channel":
        return np.sum(s[:, :, 0]) + b.item()
    if slip == "bias-times":
        return np.sum(s) * b.item()
    return np.sum(s) + b.item()


def _extent(n_prev, f, stride, pad, slip):
    total = {"size-without-pad": 0, "size-pad-once": pad}.get(slip, 2 * pad)
    step = 1 if slip == "size-without-stride" else stride
    n = (n_prev - f + total) / step
    n = int(np.ceil(n)) if slip == "size-rounded-up" else int(n)
    return n + (0 if slip == "size-without-one" else 1)


def _extents(shape, f, stride, pad, slip):
    n_H, n_W = (_extent(n, f, stride, pad, slip) for n in shape[1:3])
    if slip == "sizes-swapped":
        return n_W, n_H
    if slip == "height-for-both":
        return n_H, n_H
    if slip == "width-for-both":
        return n_W, n_W
    return n_H, n_W


def _window(h, w, f, stride, slip):
    """The first and last row and column of a window."""
    if slip == "window-transposed":
        h, w = w, h
    top, left = h * stride, w * stride
    if slip == "stride-ignored":
        top, left = h, w
    elif slip == "stride-rows-only":
        left = w
    elif slip == "stride-columns-only":
        top = h
    elif slip == "stride-is-f":
        top, left = h * f, w * f
    bottom, right = top + f, left + f
    if slip == "end-from-index":
        bottom, right = h + f, w + f
    elif slip == "window-too-small":
        bottom, right = bottom - 1, right - 1
    elif slip == "window-of-stride":
        bottom, right = top + stride, left + stride
    return top, bottom, left, right


def _steps(n, stride, slip):
    if slip == "ends-early":
        return range(n - 1)
    return range(0, n, stride) if slip == "stride-twice" else range(n)


def conv_forward(A_prev, W, b, hparameters, slip=""):
    stride, pad = hparameters["stride"], hparameters["pad"]
    m, f, n_C = A_prev.shape[0], W.shape[0], W.shape[3]
    n_H, n_W = _extents(A_prev.shape, f, stride, pad, slip)
    Z = np.zeros((m, n_H, n_W, n_C))
    padded = A_prev if slip == "input-not-padded" else zero_pad(A_prev, pad)
    if slip == "padded-twice":
        padded = zero_pad(padded, pad)
    before = 0
    for i in range(m):
        a = padded[0 if slip == "first-example" else i]
        for h in _steps(n_H, stride, slip):
            for w in _steps(n_W, stride, slip):
                top, bottom, left, right = _window(h, w, f, stride, slip)
                for c in range(n_C):
                    k = 0 if slip == "first-filter" else c
                    part, weights = a[top:bottom, left:right, :], W[:, :, :, k]
                    if slip == "rotated":
                        weights = weights[::-1, ::-1]
                    elif slip == "filter-transposed":
                        weights = weights.transpose(1, 0, 2)
                    elif slip == "first-channel":
                        part, weights = part[:, :, :1], weights[:, :, :1]
                    elif slip == "channel-lost":
                        part = a[top:bottom, left:right, c]
                        weights = W[:, :, c, k]
                    bias = {"bias-missing": 0, "first-bias": b[0, 0, 0, 0]}.get(
                        slip, b[0, 0, 0, c])
                    if slip == "bias-per-element":
                        bias = bias * part.size
                    value = np.sum(part * weights) + bias
                    if slip == "relu":
                        value = max(value, 0)
                    elif slip == "sum-not-reset":
                        value = before = before + value
                    Z[i, h, w, c] = value
    if slip == "not-4d":
        return Z[-1]
    return Z


def pool_forward(A_prev, hparameters, mode, slip=""):
    f, stride = hparameters["f"], hparameters["stride"]
    m, n_C = A_prev.shape[0], A_prev.shape[3]
    n_H, n_W = _extents(A_prev.shape, f, stride, 0, slip)
    A = np.zeros((m, n_H, n_W, n_C))
    mode = {"always-max": "max", "always-average": "average"}.get(slip, mode)
    if slip == "modes-swapped":
        mode = "average" if mode == "max" else "max"
    before = -np.inf
    for i in range(m):
        a = A_prev[0 if slip == "first-example" else i]
        for h in _steps(n_H, stride, slip):
            for w in _steps(n_W, stride, slip):
                top, bottom, left, right = _window(h, w, f, stride, slip)
                for c in range(n_C):
                    part = a[top:bottom, left:right, c]
                    if slip == "all-channels":
                        part = a[top:bottom, left:right, :]
                    elif slip == "first-channel":
                        part = a[top:bottom, left:right, 0]
                    elif slip == "all-examples":
                        part = A_prev[:, top:bottom, left:right, c]
                    if mode == "max":
                        value = np.min(part) if slip == "minimum" else np.max(part)
                        if slip == "absolute":
                            value = np.max(np.abs(part))
                        elif slip == "max-from-zero":
                            value = max(0, value)
                        elif slip == "max-not-reset":
                            value = before = max(before, value)
                    else:
                        value = np.mean(part)
                        if slip == "sum":
                            value = np.sum(part)
                        elif slip == "average-by-f":
                            value = np.sum(part) / f
                    A[i, h, w, c] = value
    return A


def conv_backward(dZ, cache, slip=""):
    A_prev, W, b, hparameters = cache
    stride, pad = hparameters["stride"], hparameters["pad"]
    m, f = A_prev.shape[0], W.shape[0]
    n_H, n_W, n_C = dZ.shape[1:]
    dA_prev, dW, db = np.zeros(A_prev.shape), np.zeros(W.shape), np.zeros(b.shape)
    padded = A_prev if slip == "input-not-padded" else zero_pad(A_prev, pad)
    d_padded = zero_pad(dA_prev, pad)
    for i in range(m):
        a, da = padded[i], d_padded[i]
        for h in range(n_H):
            for w in range(n_W):
                top, bottom, left, right = _window(h, w, f, stride, slip)
                for c in range(n_C):
                    part = a[top:bottom, left:right, :]
                    g = dZ[0 if slip == "first-dZ-example" else i, h, w,
                           0 if slip == "first-dZ-channel" else c]  # fmt: skip
                    weights = W[:, :, :, 0 if slip == "first-filter" else c]
                    if slip == "rotated":
                        weights = weights[::-1, ::-1]
                    if slip == "dA-overwritten":
                        da[top:bottom, left:right, :] = weights * g
                    elif slip == "dA-from-input":
                        da[top:bottom, left:right, :] += part * g
                    elif slip == "dA-without-dZ":
                        da[top:bottom, left:right, :] += weights
                    else:
                        da[top:bottom, left:right, :] += weights * g
                    if slip == "dW-overwritten":
                        dW[:, :, :, c] = part * g
                    elif slip == "dW-from-weights":
                        dW[:, :, :, c] += W[:, :, :, c] * g
                    elif slip == "dW-without-dZ":
                        dW[:, :, :, c] += part
                    elif slip == "dW-from-dA":
                        dW[:, :, :, c] += da[top:bottom, left:right, :] * g
                    else:
                        dW[:, :, :, c] += part * g
                    if slip == "db-overwritten":
                        db[:, :, :, c] = g
                    elif slip == "db-times-window":
                        db[:, :, :, c] += g * f * f
                    elif slip == "db-counts":
                        db[:, :, :, c] += 1
                    elif slip != "db-missing":
                        db[:, :, :, c] += g
        if slip == "crop-minus-zero":
            dA_prev[i] = da[pad:-pad, pad:-pad, :]
        elif slip == "crop-corner":
            dA_prev[i] = da[: A_prev.shape[1], : A_prev.shape[2], :]
        elif slip == "crop-too-late":
            dA_prev[i] = da[2 * pad :, 2 * pad :, :]
        elif slip == "crop-missing":
            dA_prev[i] = da
        elif slip != "dA-missing":
            dA_prev[i] = da[pad : da.shape[0] - pad, pad : da.shape[1] - pad, :]
    if slip == "mean-over-batch":
        dA_prev, dW, db = dA_prev / m, dW / m, db / m
    elif slip == "dW-mean-over-batch":
        dW, db = dW / m, db / m
    return dA_prev, dW, db


def create_mask_from_window(x, slip=""):
    if slip == "first-maximum-only":
        mask = np.zeros(x.shape, bool)
        mask.flat[np.argmax(x)] = True
        return mask
    return {"": x == np.max(x), "values-for-mask": np.where(x == np.max(x), x, 0),
            "positive": x > 0, "minimum": x == np.min(x), "inverted": x != np.max(x),
            "column-maxima": x == np.max(x, axis=0), "largest-magnitude": np.abs(x) == np.max(
                np.abs(x)), "row-maxima": x == np.max(x, axis=1, keepdims=True),
            "only-the-maximum": np.max(x)}.get(slip, x == np.max(x))  # fmt: skip


def distribute_value(dz, shape, slip=""):
    n_H, n_W = shape
    part = {"not-divided": dz, "divided-by-height": dz / n_H, "divided-by-width": dz / n_W,
            "divided-by-sum": dz / (n_H + n_W), "multiplied": dz * n_H * n_W,
            "divided-twice": dz / (n_H * n_W) ** 2,
            "rounded": dz // (n_H * n_W)}.get(slip, dz / (n_H * n_W))  # fmt: skip
    if slip == "one-number":
        return part
    return np.full((n_W, n_H) if slip == "shape-swapped" else (n_H, n_W), part)


def pool_backward(dA, cache, mode, slip=""):
    A_prev, hparameters = cache
    f, stride = hparameters["f"], hparameters["stride"]
    n_H, n_W, n_C = dA.shape[1:]
    dA_prev = np.zeros(A_prev.shape)
    mode = {"always-max": "max", "always-average": "average"}.get(slip, mode)
    if slip == "modes-swapped":
        mode = "average" if mode == "max" else "max"
    for i in range(A_prev.shape[0]):
        a = A_prev[i]
        for h in range(n_H):
            for w in range(n_W):
                top, bottom, left, right = _window(h, w, f, stride, slip)
                for c in range(n_C):
                    part, g = a[top:bottom, left:right, c], dA[i, h, w, c]
                    into = dA_prev[i, top:bottom, left:right, c]
                    if mode == "max":
                        mask = create_mask_from_window(
                            part, "first-maximum-only" if slip == "first-maximum" else "")
                        if slip == "mask-of-image":
                            mask = part == np.max(a[:, :, c])
                        made = {"mask-without-gradient": mask * 1.0,
                                "gradient-without-mask": np.full(part.shape, g),
                                "values-for-gradient": part * mask}.get(slip, mask * g)  # fmt: skip
                        if slip == "gradient-summed":
                            made = mask * np.sum(dA[i, :, :, c])
                    else:
                        made = distribute_value(g, (f, f))
                        if slip == "average-not-divided":
                            made = np.full((f, f), g)
                        elif slip == "average-by-f":
                            made = np.full((f, f), g / f)
                        elif slip == "average-by-stride":
                            made = np.full((f, f), g / stride**2)
                        elif slip == "average-by-output":
                            made = np.full((f, f), g / (n_H * n_W))
                    if slip == "overwritten" or (slip == "max-overwritten" and mode == "max") or (
                            slip == "average-overwritten" and mode == "average"):  # fmt: skip
                        into[...] = made
                    else:
                        into += made
    return dA_prev


# ---- the words for each, most common first

_SIZES = [
    ("size-without-stride", "the output's size leaves the stride out: a window that moves by the "
     "stride has fewer places, so what is left after the first window is divided by the stride"),
    ("size-without-one", "the output's size lacks the first window: after counting the moves, one "
     "more place is where the window starts"),
    ("sizes-swapped", "n_H and n_W are swapped: height comes from the rows, width from the "
     "columns, which shows only where an image is not square"),
    ("height-for-both", "the output is as wide as it is high: n_W has to come from the columns"),
    ("width-for-both", "the output is as high as it is wide: n_H has to come from the rows"),
    ("size-rounded-up", "the output's size is rounded up: a window that would not fit as a whole "
     "is left out, so the division is rounded down"),
]  # fmt: skip
_PAD_SIZES = [
    ("size-without-pad", "the output's size leaves the padding out: the window moves over the "
     "padded image, which is larger on both sides"),
    ("size-pad-once", "the output's size counts the padding once: zeros are added on both sides"),
]  # fmt: skip
_STEPS = [
    ("stride-ignored", "the window moves by one element, not by the stride: output (h, w) looks at "
     "the window that starts `stride` times as far"),
    ("end-from-index", "the window's end is counted from the output's index, not from where the "
     "window starts: with a stride above 1 it becomes shorter and shorter"),
    ("stride-rows-only", "the stride is used down the rows, but not along the columns"),
    ("stride-columns-only", "the stride is used along the columns, but not down the rows"),
    ("window-transposed", "rows and columns of the window are exchanged: h moves it down, w to the "
     "right"),
    ("stride-is-f", "the window moves by its own size, not by the stride: windows may overlap or "
     "leave gaps"),
    ("window-too-small", "the window is one row and one column too small: a slice ends before its "
     "last index"),
    ("window-of-stride", "the window is as large as the stride; it has f rows and f columns"),
]  # fmt: skip

_LOOPS = [
    ("stride-twice", "the stride is used twice: the loops over the output visit every output, and "
     "only the window's place is multiplied by the stride"),
    ("ends-early", "the last row and the last column of the output are never computed: the loops end "
     "one place early"),
]

CATALOGUE = {
    "zero_pad": [
        ("pads-examples", "the batch axis is padded, too: an example of zeros is no example; "
         "zeros go around rows and columns only"),
        ("pads-channels", "the channel axis is padded, too: zeros go around rows and columns only"),
        ("pads-all", "all four axes are padded: zeros go around rows and columns only"),
        ("rows-only", "only the rows are padded: the columns need zeros on both sides, too"),
        ("columns-only", "only the columns are padded: the rows need zeros on both sides, too"),
        ("before-only", "zeros are added on one side only, above and left: pad means on each side"),
        ("after-only", "zeros are added on one side only, below and right: pad means on each side"),
        ("edge", "the border is repeated: padding is made of zeros"),
        ("ones", "the border is made of ones: padding is made of zeros"),
        ("inside-minus-zero", "the inside is a slice that ends at minus pad: with pad 0 nothing is "
         "left, since minus 0 is 0"),
        ("one-more", "one row and one column of zeros too many on each side"),
        ("not-padded", "the image comes back without a border"),
    ],
    "conv_single_step": [
        ("bias-per-element", "the bias is added once per element: it is added once per window, "
         "after the sum"),
        ("bias-missing", "the bias is missing: it is added once, after the sum"),
        ("no-sum", "the products are not added up: a window and a filter make one number"),
        ("mean", "the products are averaged: they are summed"),
        ("no-product", "window and filter are added: they are multiplied element by element, and "
         "the products summed"),
        ("rotated", "the filter is rotated by 180 degrees: the course's convolution multiplies "
         "window and filter as they lie (cross-correlation)"),
        ("first-channel", "only the first channel is summed: a filter spans all channels"),
        ("bias-times", "the sum is multiplied by the bias: the bias is added"),
    ],
    "conv_forward": [
        *_STEPS[:2], *_SIZES, *_PAD_SIZES,
        ("input-not-padded", "the windows are taken from A_prev: they have to be taken from the "
         "padded A_prev"),
        *_STEPS[2:], *_LOOPS,
        ("bias-per-element", "the bias is added once per element: it is added once per window, "
         "after the sum"),
        ("bias-missing", "the bias is missing: each filter adds its own once per window"),
        ("sum-not-reset", "the sum is carried from one output to the next: each starts again from 0"),
        ("padded-twice", "the image is padded twice: the windows are cut from a border of twice the "
         "width"),
        ("first-bias", "every filter adds the bias of the first: filter c has b[..., c]"),
        ("first-filter", "every output channel uses the first filter: channel c has filter c"),
        ("first-example", "every example gets the result of the first: each looks at its own "
         "image"),
        ("first-channel", "only the first input channel is seen: a filter spans all channels"),
        ("channel-lost", "the slice loses the channel axis: output channel c is not input channel "
         "c; a filter spans all input channels"),
        ("rotated", "the filter is rotated by 180 degrees: the course's convolution multiplies "
         "window and filter as they lie (cross-correlation)"),
        ("filter-transposed", "rows and columns of the filter are exchanged"),
        ("relu", "negative results become 0: the activation is a step of its own, after this one"),
        ("not-4d", "Z lacks the batch axis: all examples belong into it, (m, n_H, n_W, n_C)"),
    ],
    "pool_forward": [
        *_STEPS[:2], *_SIZES, *_STEPS[2:], *_LOOPS,
        ("all-channels", "the window spans all channels: pooling treats each channel by itself"),
        ("first-channel", "every channel gets the result of the first"),
        ("first-example", "every example gets the result of the first: each looks at its own "
         "image"),
        ("all-examples", "the window spans all examples: each image is pooled by itself"),
        ("always-max", "the mode is not looked at: \"average\" is the mean of the window"),
        ("always-average", "the mode is not looked at: \"max\" is the largest of the window"),
        ("modes-swapped", "the two modes are exchanged"),
        ("sum", "\"average\" sums the window without dividing by its number of elements"),
        ("average-by-f", "\"average\" divides by f: a window has f times f elements"),
        ("minimum", "\"max\" takes the smallest element"),
        ("absolute", "\"max\" takes the largest magnitude: a sign counts"),
        ("max-not-reset", "the maximum is carried from one window to the next: each window has its "
         "own"),
        ("max-from-zero", "the maximum starts from 0: a window of negative numbers has a negative "
         "maximum"),
    ],
    "conv_backward": [
        *_STEPS[:2],
        ("crop-minus-zero", "the border is cut off by a slice that ends at minus pad: with pad 0 "
         "nothing is left, since minus 0 is 0"),
        ("crop-missing", "dA_prev keeps its border: the gradient of the zeros around the image is "
         "cut off"),
        ("crop-corner", "the border is cut off on the wrong sides: pad rows and columns go on each "
         "side, not all below and to the right"),
        ("crop-too-late", "the border is cut off on the wrong sides: pad rows and columns go on "
         "each side, not all above and to the left"),
        ("dA-overwritten", "dA_prev is overwritten by the last window: a pixel that several "
         "windows see adds up all their gradients"),
        ("dW-overwritten", "dW is overwritten by the last window: a filter is used at every place, "
         "and the gradients of all places add up"),
        ("db-overwritten", "db is overwritten by the last place: the bias is used at every place, "
         "and the gradients of all places add up"),
        ("input-not-padded", "dW takes its windows from A_prev: they have to be taken from the "
         "padded A_prev, as in the forward pass"),
        ("mean-over-batch", "the gradients are divided by m: these functions sum over the batch"),
        ("dW-mean-over-batch", "dW and db are divided by m: these functions sum over the batch"),
        ("rotated", "the filter is rotated for dA_prev: each weight sends the gradient back to the "
         "pixel that it was multiplied with, so window and filter lie as in the forward pass"),
        ("first-filter", "dA_prev uses the first filter for every channel of dZ"),
        ("first-dZ-channel", "the gradient is read from the first channel of dZ: filter c has that "
         "of channel c"),
        ("first-dZ-example", "the gradient is read from the first example of dZ: each image has its "
         "own"),
        ("dW-from-dA", "dW is made of the gradient that gathers in dA_prev: its windows come from "
         "the padded A_prev"),
        ("db-missing", "db stays 0: the bias reaches every output of its channel, so its gradient "
         "is the sum of that channel of dZ"),
        ("db-times-window", "db counts each dZ once per element of the window: the bias is added "
         "once per window"),
        ("db-counts", "db counts the windows: it sums dZ over them"),
        ("dA-from-input", "dA_prev is made of the input: the gradient of a product with respect to "
         "the input is the weight"),
        ("dW-from-weights", "dW is made of the weights: the gradient of a product with respect to "
         "the weight is the input"),
        ("dA-without-dZ", "dA_prev lacks dZ: the chain rule multiplies by what comes from above"),
        ("dW-without-dZ", "dW lacks dZ: the chain rule multiplies by what comes from above"),
        ("dA-missing", "dA_prev stays 0: what was gathered on the padded image has to be copied "
         "into it"),
        *_STEPS[2:],
    ],
    "create_mask_from_window": [
        ("first-maximum-only", "only one of several equal maxima is marked: the mask is True "
         "wherever x equals its maximum"),
        ("values-for-mask", "the mask holds values: it is True or False"),
        ("only-the-maximum", "the maximum comes back alone: the mask has the shape of x"),
        ("column-maxima", "the maximum of each column is marked: the window has one maximum"),
        ("row-maxima", "the maximum of each row is marked: the window has one maximum"),
        ("minimum", "the smallest element is marked: it is the largest"),
        ("inverted", "everything but the maximum is marked"),
        ("positive", "positive elements are marked: it is those that equal the maximum"),
        ("largest-magnitude", "the largest magnitude is marked: a sign counts"),
    ],
    "distribute_value": [
        ("not-divided", "the value is not divided: each of the n_H times n_W elements gets its part"),
        ("divided-by-height", "the value is divided by n_H: there are n_H times n_W elements"),
        ("divided-by-width", "the value is divided by n_W: there are n_H times n_W elements"),
        ("divided-by-sum", "the value is divided by n_H + n_W: there are n_H times n_W elements"),
        ("multiplied", "the value is multiplied by the number of elements: it is divided"),
        ("divided-twice", "the value is divided twice by the number of elements"),
        ("rounded", "the part is rounded to a whole number"),
        ("one-number", "one number comes back: the result has the shape (n_H, n_W)"),
        ("shape-swapped", "rows and columns of the result are exchanged: its shape is (n_H, n_W)"),
    ],
    "pool_backward": [
        *_STEPS[:2],
        ("overwritten", "dA_prev is overwritten by the last window: where windows overlap, their "
         "gradients add up"),
        ("max-overwritten", "with \"max\", dA_prev is overwritten by the last window: where windows "
         "overlap, their gradients add up"),
        ("average-overwritten", "with \"average\", dA_prev is overwritten by the last window: where "
         "windows overlap, their gradients add up"),
        ("always-max", "the mode is not looked at: \"average\" spreads the gradient evenly"),
        ("always-average", "the mode is not looked at: \"max\" sends the gradient to the maximum"),
        ("modes-swapped", "the two modes are exchanged"),
        ("average-not-divided", "with \"average\", every element gets the whole gradient: each gets "
         "its part, 1 / (f f)"),
        ("average-by-f", "with \"average\", the gradient is divided by f: the window has f times f "
         "elements"),
        ("average-by-stride", "with \"average\", the gradient is divided by the stride's square: it "
         "is spread over the window's f times f elements"),
        ("average-by-output", "with \"average\", the gradient is divided by the output's size: it "
         "is spread over the window's f times f elements"),
        ("mask-without-gradient", "with \"max\", the mask is passed on without the gradient: it "
         "chooses where dA goes"),
        ("gradient-without-mask", "with \"max\", every element gets the gradient: the mask lets it "
         "through at the maximum only"),
        ("values-for-gradient", "with \"max\", the maximum itself is passed back: it is the place "
         "of the maximum that counts, and dA that goes there"),
        ("gradient-summed", "with \"max\", each window gets the gradient of the whole channel: "
         "output (h, w) sends dA[i, h, w, c] to its own window"),
        ("mask-of-image", "the mask marks the maximum of the whole image: each window has its own"),
        ("first-maximum", "only one of several equal maxima gets the gradient: in these functions "
         "each does"),
        *_STEPS[2:],
    ],
}  # fmt: skip

FUNCTIONS = {"zero_pad": zero_pad, "conv_single_step": conv_single_step,
             "conv_forward": conv_forward, "pool_forward": pool_forward,
             "conv_backward": conv_backward, "create_mask_from_window": create_mask_from_window,
             "distribute_value": distribute_value, "pool_backward": pool_backward}  # fmt: skip


# ---- what the functions are asked


def _whole(random, *shape):
    """Small whole numbers, so that sums are exact and pictures can be read."""
    return random.randint(-4, 5, shape).astype(float)


def _distinct(random, *shape):
    """Numbers of which no window has two equal ones, more than half of them negative."""
    count = int(np.prod(shape))
    return (random.permutation(count).astype(float) - count * 3 // 5).reshape(shape)


_CONV = [  # m, n_H_prev, n_W_prev, n_C_prev, f, n_C, stride, pad
    (1, 3, 4, 1, 2, 1, 1, 0), (2, 4, 6, 2, 3, 2, 1, 1), (2, 7, 5, 3, 3, 2, 2, 0),
    (2, 6, 9, 2, 2, 3, 3, 1), (1, 5, 8, 2, 3, 2, 2, 2), (2, 5, 4, 2, 3, 3, 1, 3),
    (2, 8, 5, 3, 2, 2, 2, 0),
]  # fmt: skip
_POOL = [  # m, n_H_prev, n_W_prev, n_C, f, stride
    (1, 3, 4, 1, 2, 1), (2, 5, 7, 2, 3, 2), (2, 6, 4, 3, 2, 2), (2, 7, 5, 2, 3, 1),
    (2, 8, 6, 2, 2, 3),
]  # fmt: skip


def cases(name):
    """The arguments of each call, smallest first; the same every time."""
    random = np.random.RandomState(20)
    made = []
    if name == "zero_pad":
        for shape, pad in (((1, 2, 3, 1), 1), ((2, 3, 2, 3), 2), ((2, 2, 4, 2), 3),
                           ((1, 3, 2, 2), 0)):  # fmt: skip
            made.append((_whole(random, *shape) + 9, pad))
    elif name == "conv_single_step":
        for f, n_C in ((2, 1), (3, 2), (2, 3), (1, 4)):
            a, W = _whole(random, f, f, n_C), _whole(random, f, f, n_C)
            made.append((a, W, np.full((1, 1, 1), 3.0 + f)))
    elif name == "conv_forward":
        for m, h, w, c, f, n_C, stride, pad in _CONV:
            made.append((_whole(random, m, h, w, c), _whole(random, f, f, c, n_C),
                         np.arange(n_C, dtype=float).reshape(1, 1, 1, n_C) * 3 + 2,
                         {"stride": stride, "pad": pad}))  # fmt: skip
    elif name == "conv_backward":
        for A_prev, W, b, h in cases("conv_forward"):
            shape = conv_forward(A_prev, W, b, h).shape
            made.append((_whole(random, *shape), (A_prev, W, b, h)))
    elif name == "pool_forward":
        for m, h, w, c, f, stride in _POOL:
            A_prev = _distinct(random, m, h, w, c)
            made += [(A_prev, {"f": f, "stride": stride}, mode) for mode in ("max", "average")]
    elif name == "pool_backward":
        for A_prev, h, mode in cases("pool_forward"):
            shape = pool_forward(A_prev, h, mode).shape
            made.append((_whole(random, *shape), (A_prev, h), mode))
        tied = np.array([[5.0, 1, 5], [5, 5, 2]]).reshape(1, 2, 3, 1)
        made.append((np.array([[[[2.0], [3.0]]]]), (tied, {"f": 2, "stride": 1}), "max"))
    elif name == "create_mask_from_window":
        made = [(np.array(rows, float),) for rows in (
            [[1, 3, -9], [2, 0, 1]], [[-1, -5], [-2, -3], [-8, -1.5]], [[4, 1, 4], [4, 2, 0]],
            [[-7]])]  # fmt: skip
    elif name == "distribute_value":
        made = [(dz, shape) for dz, shape in ((12.0, (2, 3)), (5.0, (3, 1)), (-7.0, (4, 2)))]
    return made
