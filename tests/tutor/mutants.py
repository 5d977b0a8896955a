"""Realistic mistakes in right.py: (function, the tutor's word for it, what is replaced, by what).

A replacement is made in the function named, wherever its text stands there.
"""
FORWARD_H = 'n_H = int((n_H_prev - f + 2 * pad) / stride) + 1'
FORWARD_W = 'n_W = int((n_W_prev - f + 2 * pad) / stride) + 1'
SLICE = "a_prev_pad[vert_start:vert_end, horiz_start:horiz_end, :]"

MUTANTS = [
    # zero_pad
    ("zero_pad", "pads-channels", "(pad,pad),(0,0))", "(pad,pad),(pad,pad))"),
    ("zero_pad", "pads-examples", "((0,0),(pad,pad)", "((pad,pad),(pad,pad)"),
    ("zero_pad", "rows-only", "((0,0),(pad,pad),(pad,pad),", "((0,0),(pad,pad),(0,0),"),
    ("zero_pad", "before-only", "(pad,pad),(pad,pad)", "(pad,0),(pad,0)"),
    ("zero_pad", "edge", "mode='constant', constant_values=(0,0)", "mode='edge'"),
    ("zero_pad", "not-padded", "return X_pad", "return X"),
    ("zero_pad", "inside-minus-zero", "X_pad = np.pad(X, ((0,0),(pad,pad),(pad,pad),(0,0)), "
     "mode='constant', constant_values=(0,0))", "X_pad = np.zeros((X.shape[0], X.shape[1] + 2*pad, "
     "X.shape[2] + 2*pad, X.shape[3])); X_pad[:, pad:-pad, pad:-pad, :] = X"),
    # conv_single_step
    ("conv_single_step", "bias-per-element", "Z = np.sum(s)\n    Z = Z + float(b.item())",
     "Z = np.sum(s + b)"),
    ("conv_single_step", "bias-missing", "Z = Z + float(b.item())", "pass"),
    ("conv_single_step", "no-sum", "Z = np.sum(s)", "Z = s"),
    ("conv_single_step", "first-channel", "Z = np.sum(s)", "Z = np.sum(s[:, :, 0])"),
    # conv_forward
    ("conv_forward", "stride-ignored", "vert_start = h * stride", "vert_start = h",
     "horiz_start = w * stride", "horiz_start = w"),
    ("conv_forward", "end-from-index", "vert_end = vert_start + f", "vert_end = h + f",
     "horiz_end = horiz_start + f", "horiz_end = w + f"),
    ("conv_forward", "size-without-stride", FORWARD_H, "n_H = n_H_prev - f + 2 * pad + 1",
     FORWARD_W, "n_W = n_W_prev - f + 2 * pad + 1"),
    ("conv_forward", "size-without-one", "/ stride) + 1", "/ stride)"),
    ("conv_forward", "size-without-pad", "- f + 2 * pad)", "- f)"),
    ("conv_forward", "size-pad-once", "- f + 2 * pad)", "- f + pad)"),
    ("conv_forward", "sizes-swapped", "np.zeros((m, n_H, n_W, n_C))",
     "np.zeros((m, n_W, n_H, n_C))", "for h in range(n_H)", "for h in range(n_W)",
     "for w in range(n_W)", "for w in range(n_H)"),
    ("conv_forward", "height-for-both", FORWARD_W, "n_W = n_H"),
    ("conv_forward", "input-not-padded", "a_prev_pad = A_prev_pad[i]", "a_prev_pad = A_prev[i]"),
    ("conv_forward", "first-example", "a_prev_pad = A_prev_pad[i]", "a_prev_pad = A_prev_pad[0]"),
    ("conv_forward", "first-filter", "weights = W[:, :, :, c]", "weights = W[:, :, :, 0]"),
    ("conv_forward", "first-bias", "biases = b[:, :, :, c]", "biases = b[:, :, :, 0]"),
    ("conv_forward", "channel-lost", SLICE,
     "a_prev_pad[vert_start:vert_end, horiz_start:horiz_end, c]",
     "weights = W[:, :, :, c]", "weights = W[:, :, c, c]"),
    ("conv_forward", "stride-twice", "range(n_H)", "range(0, n_H, stride)", "range(n_W)",
     "range(0, n_W, stride)"),
    ("conv_forward", "window-transposed", "vert_start = h * stride", "vert_start = 0",
     "horiz_start = w * stride", "horiz_start = h * stride; vert_start = w * stride; "
     "vert_end = vert_start + f"),
    ("conv_forward", "rotated", "weights = W[:, :, :, c]", "weights = W[::-1, ::-1, :, c]"),
    ("conv_forward", "window-too-small", "vert_end = vert_start + f", "vert_end = vert_start + f - 1",
     "horiz_end = horiz_start + f", "horiz_end = horiz_start + f - 1"),
    ("conv_forward", "not-4d", "return Z, cache", "return Z[-1], cache"),
    ("conv_forward", "cache", "cache = (A_prev, W", "cache = (A_prev_pad, W"),
    ("conv_forward", "returns-nothing", "return Z, cache", "pass"),
    ("conv_forward", "sum-not-reset", "Z = np.zeros((m, n_H, n_W, n_C))",
     "Z = np.zeros((m, n_H, n_W, n_C)); total = 0", "Z[i, h, w, c] = conv_single_step(a_slice_prev, "
     "weights, biases)", "total += conv_single_step(a_slice_prev, weights, biases); Z[i, h, w, c] = total"),
    ("conv_forward", "padded-twice", "a_prev_pad = A_prev_pad[i]",
     "a_prev_pad = zero_pad(A_prev_pad, pad)[i]"),
    ("conv_forward", "ends-early", "range(n_H)", "range(n_H - 1)", "range(n_W)", "range(n_W - 1)"),
    # pool_forward
    ("pool_forward", "all-examples", "a_prev[vert_start", "A_prev[:, vert_start"),
    ("pool_forward", "max-not-reset", "A = np.zeros((m, n_H, n_W, n_C))",
     "A = np.zeros((m, n_H, n_W, n_C)); most = -np.inf", "A[i, h, w, c] = np.max(a_prev_slice)",
     "most = max(most, np.max(a_prev_slice)); A[i, h, w, c] = most"),
    ("pool_forward", "ends-early", "range(n_H)", "range(n_H - 1)", "range(n_W)", "range(n_W - 1)"),
    ("pool_forward", "stride-ignored", "vert_start = h * stride", "vert_start = h",
     "horiz_start = w * stride", "horiz_start = w"),
    ("pool_forward", "all-channels", "horiz_start:horiz_end, c]", "horiz_start:horiz_end, :]"),
    ("pool_forward", "always-max", "np.mean(a_prev_slice)", "np.max(a_prev_slice)"),
    ("pool_forward", "end-from-index", "vert_end = vert_start + f", "vert_end = h + f",
     "horiz_end = horiz_start + f", "horiz_end = w + f"),
    ("pool_forward", "sum", "np.mean(a_prev_slice)", "np.sum(a_prev_slice)"),
    ("pool_forward", "average-by-f", "np.mean(a_prev_slice)", "np.sum(a_prev_slice) / f"),
    ("pool_forward", "max-from-zero", "np.max(a_prev_slice)", "max(0, np.max(a_prev_slice))"),
    ("pool_forward", "size-without-one", "int(1 + (", "int(0 + ("),
    # conv_backward
    ("conv_backward", "first-dZ-channel", "dZ[i, h, w, c]", "dZ[i, h, w, 0]"),
    ("conv_backward", "first-dZ-example", "dZ[i, h, w, c]", "dZ[0, h, w, c]"),
    ("conv_backward", "dW-from-dA", "dW[:, :, :, c] += a_slice", "dW[:, :, :, c] += "
     "da_prev_pad[vert_start:vert_end, horiz_start:horiz_end, :]"),
    ("conv_backward", "stride-ignored", "vert_start = h * stride", "vert_start = h",
     "horiz_start = w * stride", "horiz_start = w"),
    ("conv_backward", "crop-minus-zero", "if pad:", "if True:"),
    ("conv_backward", "crop-corner", "da_prev_pad[pad:-pad, pad:-pad, :]",
     "da_prev_pad[:n_H_prev, :n_W_prev, :]"),
    ("conv_backward", "dA-overwritten", "horiz_start:horiz_end, :] += W", "horiz_start:horiz_end, :] = W"),
    ("conv_backward", "dW-overwritten", "dW[:, :, :, c] +=", "dW[:, :, :, c] ="),
    ("conv_backward", "db-overwritten", "db[:, :, :, c] +=", "db[:, :, :, c] ="),
    ("conv_backward", "input-not-padded", "a_prev_pad = A_prev_pad[i]", "a_prev_pad = A_prev[i]"),
    ("conv_backward", "mean-over-batch", "return dA_prev, dW, db",
     "return dA_prev / m, dW / m, db / m"),
    ("conv_backward", "rotated", "+= W[:, :, :, c] *", "+= W[::-1, ::-1, :, c] *"),
    ("conv_backward", "db-missing", "db[:, :, :, c] += dZ[i, h, w, c]", "pass"),
    ("conv_backward", "dA-from-input", "+= W[:, :, :, c] *", "+= a_slice *"),
    ("conv_backward", "end-from-index", "vert_end = vert_start + f", "vert_end = h + f",
     "horiz_end = horiz_start + f", "horiz_end = w + f"),
    ("conv_backward", "dA-missing", "dA_prev[i, :, :, :] = da_prev_pad[pad:-pad, pad:-pad, :]",
     "pass", "dA_prev[i, :, :, :] = da_prev_pad", "pass"),
    # create_mask_from_window, distribute_value
    ("create_mask_from_window", "first-maximum-only", "(x == np.max(x))",
     "np.arange(x.size).reshape(x.shape) == np.argmax(x)"),
    ("create_mask_from_window", "values-for-mask", "(x == np.max(x))", "(x == np.max(x)) * x"),
    ("create_mask_from_window", "only-the-maximum", "(x == np.max(x))", "np.max(x)"),
    ("create_mask_from_window", "positive", "(x == np.max(x))", "x > 0"),
    ("distribute_value", "not-divided", "dz / (n_H * n_W)", "dz"),
    ("distribute_value", "divided-by-height", "dz / (n_H * n_W)", "dz / n_H"),
    ("distribute_value", "one-number", "np.ones(shape) * average", "average"),
    # pool_backward
    ("pool_backward", "average-by-stride", "distribute_value(da, shape)",
     "np.full(shape, da / stride / stride)"),
    ("pool_backward", "stride-ignored", "vert_start = h * stride", "vert_start = h",
     "horiz_start = w * stride", "horiz_start = w"),
    ("pool_backward", "overwritten", "horiz_end, c] += ", "horiz_end, c] = "),
    ("pool_backward", "average-not-divided", "distribute_value(da, shape)", "np.full(shape, da)"),
    ("pool_backward", "mask-without-gradient", "mask * dA[i, h, w, c]", "mask"),
    ("pool_backward", "values-for-gradient", "mask * dA[i, h, w, c]", "mask * a_prev_slice"),
    ("pool_backward", "mask-of-image", "create_mask_from_window(a_prev_slice)",
     "a_prev_slice == np.max(a_prev[:, :, c])"),
    ("pool_backward", "always-max", 'mode == "max"', "True"),
    ("pool_backward", "average-by-output", "shape = (f, f)", "shape = (f, f); da = da * f * f / (n_H * n_W)"),
    ("pool_backward", "end-from-index", "vert_end = vert_start + f", "vert_end = h + f",
     "horiz_end = horiz_start + f", "horiz_end = w + f"),
]


def mutated(source, function, *replacements):
    """The source with the replacements in one function; an error where a text is not there."""
    begin = source.index(f"def {function}(")
    end = source.find("\ndef ", begin + 1)
    end = len(source) if end < 0 else end
    body = source[begin:end]
    for old, new in zip(replacements[::2], replacements[1::2]):
        if old not in body:
            raise ValueError(f"{function}: no {old!r}")
        body = body.replace(old, new)
    return source[:begin] + body + source[end:]
