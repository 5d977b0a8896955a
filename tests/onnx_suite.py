#!/usr/bin/env python3
"""Runs the node cases of the onnx package 1.22.0 on this library.

    tests/onnx_suite.py LIBRARY            a line per case that fails, and the counts
    tests/onnx_suite.py LIBRARY --table    the tables of docs/onnx.md, too
    tests/onnx_suite.py LIBRARY NAME...    these cases alone, with what is refused and why

A case is one operator with inputs and outputs. Of a model of ours the inputs are the examples of a batch,
so a case's first input stays one, and so do those that vary by example as well; its others become
initializers. All outputs must agree within 1e-3 relative, onnx's own bound. Needs numpy and onnx; exits with 77 where they are not, or are
another version.
"""
import collections
import ctypes
import os
import pathlib
import re
import sys
import tempfile

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as missing:
    print(f"onnx_suite: skipped: {missing}")
    sys.exit(77)

VERSION = "1.22.0"

# What networks for images are made of: the rows of the table.
OPERATORS = """Conv ConvTranspose Gemm MatMul MaxPool AveragePool GlobalAveragePool GlobalMaxPool
ReduceMean ReduceMax ReduceMin ReduceSum ReduceSumSquare ReduceL1 ReduceL2 BatchNormalization InstanceNormalization GroupNormalization
LayerNormalization LRN Relu LeakyRelu PRelu Elu Selu Celu Sigmoid HardSigmoid HardSwish Swish Mish Tanh
Softplus Softsign Gelu Clip Softmax LogSoftmax Add Sub Mul Div Max Min Sum Mean Pow Sqrt Exp Neg Abs
Reciprocal Concat Split Slice Gather Reshape Flatten Transpose Squeeze Unsqueeze Expand Pad Resize
Upsample DepthToSpace SpaceToDepth Identity Dropout Cast Constant ConstantOfShape Shape""".split()

# All others, and why they are none of these.
OTHERS = {
    "quantized numbers": """ConvInteger DequantizeLinear DynamicQuantizeLinear MatMulInteger
        QLinearConv QLinearMatMul QuantizeLinear""",
    "whole numbers, truth values and bits; of constants, some are computed": """And ArgMax ArgMin
        BitCast BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CastLike Compress Equal EyeLike
        Greater GreaterOrEqual Hardmax IsInf IsNaN Less LessOrEqual Mod NonZero Not OneHot Or Range
        Size Tile TopK Trilu Unique Where Xor""",
    "texts, sequences, optional values and control flow": """If Loop OptionalGetElement
        OptionalHasElement RegexFullMatch Scan SequenceInsert SequenceMap SplitToSequence
        StringConcat StringNormalizer StringSplit TfIdfVectorizer""",
    "attention, sequences and products of tensors": """Attention CausalConvWithState CumProd CumSum
        Einsum FlexAttention GRU LSTM LinearAttention RMSNormalization RNN ReverseSequence
        RotaryEmbedding TensorScatter""",
    "places that depend on data": """AffineGrid Col2Im DeformConv GatherElements GatherND GridSample
        MaxUnpool NonMaxSuppression RoiAlign Scatter ScatterElements ScatterND""",
    "losses, optimizers and random numbers, which are the training's": """Adagrad Adam Bernoulli
        Momentum NegativeLogLikelihoodLoss SoftmaxCrossEntropyLoss""",
    "signals, files and tables": """ArrayFeatureExtractor Binarizer BlackmanWindow DFT HammingWindow
        HannWindow ImageDecoder LabelEncoder MelWeightMatrix STFT TreeEnsemble""",
    "functions that networks for images do not use, and that have no layer": """Acos Acosh Asin Asinh Atan Atanh Ceil
        CenterCropPad Cos Cosh Det Erf Floor Log LpNormalization LpPool MeanVarianceNormalization
        ReduceLogSum ReduceLogSumExp ReduceProd Round Shrink Sign Sin Sinh Tan ThresholdedRelu""",
}

# Operators of two inputs that both may vary by example.
BOTH = {"Add", "Sub", "Mul", "Div", "Max", "Min", "Sum", "Mean", "Pow", "Concat"}


class Error(ctypes.Structure):
    _fields_ = [("status", ctypes.c_int), ("text", ctypes.c_char * 256)]


class Tensor(ctypes.Structure):
    _fields_ = [("dtype", ctypes.c_int), ("rank", ctypes.c_int), ("shape", ctypes.c_int * 4),
                ("data", ctypes.c_void_p), ("owned", ctypes.c_void_p)]


class Port(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("rank", ctypes.c_int), ("shape", ctypes.c_int * 4),
                ("offset", ctypes.c_int)]


class Refused(Exception):
    """The library does not take the case, and says why."""


class Library:
    def __init__(self, path):
        self.c = ctypes.CDLL(path)
        self.c.cn_session_output.restype = Tensor
        self.c.cn_session_output.argtypes = [ctypes.c_void_p]
        self.c.cn_model_free.argtypes = self.c.cn_session_free.argtypes = [ctypes.c_void_p]
        for name in "cn_model_input", "cn_model_output":
            getattr(self.c, name).restype = ctypes.c_bool

    def call(self, name, *arguments):
        error = Error()
        if getattr(self.c, name)(*arguments, ctypes.byref(error)) != 0:
            raise Refused(error.text.decode(errors="replace"))

    def ports(self, name, model):
        """The offset and the shape of each input or output."""
        found, port = [], Port()
        while getattr(self.c, name)(model, len(found), ctypes.byref(port)):
            found.append((port.offset, tuple(port.shape[: port.rank])))
        return found

    def run(self, path, given):
        """The outputs for these inputs, all as the library has them: images channels last."""
        model, session = ctypes.c_void_p(), ctypes.c_void_p()
        self.call("cn_model_load", ctypes.byref(model), path.encode())
        try:
            inputs, outputs = (self.ports(f"cn_model_{side}put", model) for side in ("in", "out"))
            m = given[0].shape[0]
            x = np.concatenate([a.reshape(m, -1) for a in given], axis=1)
            shape = inputs[0][1] if len(given) == 1 else x.shape[1:]
            x = x.reshape(m, *[1] * (3 - len(shape)), *shape)
            options = (ctypes.c_int * 256)(m, 1)  # batch, threads, and defaults
            self.call("cn_session_create", ctypes.byref(session), model, ctypes.byref(options))
            x = np.ascontiguousarray(x)
            packed = Tensor(0, 4)
            packed.shape[:4] = x.shape
            packed.data = x.ctypes.data
            self.call("cn_session_forward", session, ctypes.byref(packed))
            y = self.c.cn_session_output(session)
            values = (ctypes.c_float * int(np.prod(y.shape[: y.rank]))).from_address(y.data)
            rows = np.ctypeslib.as_array(values).reshape(m, -1)
            return [rows[:, at:at + int(np.prod(shape))].reshape(m, *shape).copy()
                    for at, shape in outputs]
        finally:
            self.c.cn_session_free(session)
            self.c.cn_model_free(model)


def channels_last(x):
    """(m, C, H, W), (m, C, W) or (m, C) as (m, H, W, C)."""
    if x.ndim == 4:
        x = x.transpose(0, 2, 3, 1)
    elif x.ndim == 3:
        x = x.transpose(0, 2, 1)[:, None]
    elif x.ndim == 2:
        x = x[:, None, None]
    elif x.ndim == 1:
        x = x[:, None, None, None]
    else:
        raise Refused(f"an input of rank {x.ndim}")
    return np.ascontiguousarray(x)


def channels_first(y, shape):
    """The output as the case has it."""
    if len(shape) == 4 and y.ndim == 4:
        y = y.transpose(0, 3, 1, 2)
    elif len(shape) == 3 and y.ndim == 4:
        y = y[:, 0].transpose(0, 2, 1)
    return y.reshape(shape)


def read_tensors(folder, kind, count):
    found = []
    for i in range(count):
        proto = onnx.TensorProto()
        try:
            proto.ParseFromString((folder / f"{kind}_{i}.pb").read_bytes())
            found.append(numpy_helper.to_array(proto))
        except Exception as error:
            raise Refused("sequences, optionals or texts") from error
    return found


def prepare(model, folder):
    """Makes the case a model of those inputs that vary; returns these and the outputs."""
    graph = model.graph
    inputs = read_tensors(folder, "input", len(graph.input))
    outputs = read_tensors(folder, "output", len(graph.output))
    if not inputs:
        raise Refused("no input")
    if graph.node[0].op_type == "Dropout" and len(inputs) > 2 and inputs[2] and inputs[1] != 0:
        raise Refused("random numbers")
    if any(a.name == "training_mode" and a.i for a in graph.node[0].attribute):
        raise Refused("the batch's own statistics")
    if inputs[0].dtype != np.float32 or any(y.dtype != np.float32 for y in outputs):
        raise Refused("numbers that are not float")
    if inputs[0].ndim == 0 or inputs[0].size == 0:
        raise Refused("no examples")
    op = graph.node[0].op_type
    varying = [0]
    for i, array in enumerate(inputs[1:], 1):
        same = array.ndim == inputs[0].ndim and array.shape[:1] == inputs[0].shape[:1]
        if op in BOTH and same and array.dtype == np.float32 and array.shape[0] > 1:
            varying.append(i)
    names = [value.name for value in graph.input]
    for i, array in enumerate(inputs):
        if i not in varying:
            graph.initializer.append(numpy_helper.from_array(array, names[i]))
    kept = [graph.input[i] for i in varying]
    del graph.input[:]
    graph.input.extend(kept)
    return [inputs[i] for i in varying], outputs


def run_case(library, folder, path):
    """None where every output agrees; else what is wrong."""
    model = onnx.load(folder / "model.onnx")
    given, outputs = prepare(model, folder / "test_data_set_0")
    pathlib.Path(path).write_bytes(model.SerializeToString())
    for got, want in zip(library.run(path, [channels_last(x) for x in given]), outputs):
        if got.size != want.size:
            return f"{got.size} outputs, expected {want.size}"
        got = channels_first(got, want.shape)
        if not np.allclose(got, want, rtol=1e-3, atol=1e-5, equal_nan=True):
            return f"off by {np.nanmax(np.abs(got - want)):.3g}"
    return None


REASONS = [
    (r"not float|integers and fractions|elements of type|of fractions|to integers", "other numbers"),
    (r"batch|first axis|examples|of an example|axis -?\d|this axis|at axis|to more axes|transA|axis 3",
     "mixes the examples"),
    (r"numbers for|not in a row", "another form"),
    (r"rank [56]|has rank|expected 4|of rank|axes, expected", "another rank"),
    (r"random numbers", "random numbers"),
    (r"the batch's own", "training: a session that trains does so"),
    (r"mask|mean as an output|indices of the maxima|statistics as outputs", "another output"),
    (r"several inputs|no constant|is a constant", "several inputs"),
    (r"sequences", "no tensors"),
    (r"no input|no examples|no elements|no fixed size|does not depend", "no examples"),
]


def reason_of(text):
    for pattern, reason in REASONS:
        if re.search(pattern, text):
            return reason
    if "not supported" in text or re.search(r"\): $", text):
        return "operator"
    return re.sub(r".*\): ", "", text) or "operator"


def counts(rows):
    return collections.Counter(outcome for outcome, _ in rows)


def table(results, bodies):
    rows = ["| operator | cases | passed | refused, and why | as functions |", "|---|---|---|---|---|"]
    for op in sorted(OPERATORS):
        found, body = results[op], bodies[op]
        if not found:
            continue
        refused = collections.Counter(reason_of(r[1]) for r in found if r[0] == "refused")
        why = "; ".join(f"{n} {text}" for text, n in refused.most_common())
        expanded = f"{counts(body)['passed']} of {len(body)}" if body else ""
        rows.append(f"| {op} | {len(found)} | {counts(found)['passed']} | {why} | {expanded} |")
    return "\n".join(rows)


def others_table(others):
    """The operators left out, each once; an operator without a reason is an error."""
    reasons = {op: reason for reason, names in OTHERS.items() for op in names.split()}
    missing = sorted(set(others) - set(reasons))
    if missing:
        sys.exit(f"onnx_suite: no reason for leaving out {' '.join(missing)}")
    rows = ["| left out | operators | cases |", "|---|---|---|"]
    for reason, names in OTHERS.items():
        there = [op for op in names.split() if op in others]
        rows.append(f"| {reason} | {', '.join(there)} | {sum(others[op] for op in there)} |")
    return "\n".join(rows)


def operator_of(folder):
    """The operator that the case is about, for a function's body that of the function."""
    plain = folder.with_name(re.sub("_expanded.*", "", folder.name))
    nodes = onnx.load(plain / "model.onnx", load_external_data=False).graph.node
    return nodes[0].op_type if len(nodes) == 1 else "several operators"


def main():
    library, names = Library(os.path.abspath(sys.argv[1])), sys.argv[2:]
    if onnx.__version__ != VERSION:
        print(f"onnx_suite: skipped: onnx {onnx.__version__}, expected {VERSION}")
        return 77
    root = pathlib.Path(onnx.__file__).parent / "backend/test/data/node"
    wanted = [n for n in names if not n.startswith("--")]
    results, bodies = collections.defaultdict(list), collections.defaultdict(list)
    others, left_out = collections.Counter(), 0
    with tempfile.TemporaryDirectory() as scratch:
        for folder in sorted(root.iterdir()):
            if wanted and folder.name not in wanted:
                continue
            op, body = operator_of(folder), "_expanded" in folder.name
            if op not in OPERATORS and not wanted:
                others[op] += not body
                left_out += body
                continue
            try:
                wrong = run_case(library, folder, os.path.join(scratch, "case.onnx"))
                outcome = ("failed", wrong) if wrong else ("passed", "")
            except Refused as refusal:
                outcome = ("refused", str(refusal))
            (bodies if body else results)[op].append(outcome)
            if outcome[0] == "failed" or wanted or "--all" in names:
                print(f"{folder.name}: {outcome[0]} {outcome[1]}")
    if "--table" in names:
        print(table(results, bodies) + "\n\n" + others_table(others) + "\n")
    failed = 0
    for what, found in ("cases", results), ("function bodies", bodies):
        rows = [row for op in found for row in found[op]]
        failed += counts(rows)["failed"]
        print(f"{len(rows)} {what} of {len(found)} operators: {counts(rows)['passed']} passed, "
              f"{counts(rows)['refused']} refused, {counts(rows)['failed']} failed")
    print(f"{others.total()} cases and {left_out} function bodies of {len(others)} other operators")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
