"""Networks as calls: nodes that remember how they were made, and the model that comes of them."""
from __future__ import annotations

import ctypes
from ctypes import byref
from typing import Any, Dict, List, Optional, Sequence, Tuple

from . import _interface as c
from ._library import ArgumentError, call, library, number, text_bytes


def fill(kind: Any, given: Optional[Dict[str, Any]]) -> Any:
    """A struct of options from a dict: words for enums, one number or several for an array."""
    made = kind()
    enums = c.MEMBERS.get(kind.__name__, {})
    members = {field[0]: field[1] for field in kind._fields_}
    for name, value in (given or {}).items():
        if name not in members:
            raise ArgumentError(f'no option "{name}", expected {", ".join(members)}')
        member = members[name]
        if value is None:
            continue
        if name in enums:
            value = number(enums[name], value, name) if isinstance(value, str) else int(value)
        elif isinstance(value, str):
            value = text_bytes(value)
        elif issubclass(member, ctypes.Structure) and isinstance(value, dict):
            value = fill(member, value)
        elif issubclass(member, ctypes.Array):
            several = [value] if isinstance(value, (int, float)) else list(value)
            if len(several) > member._length_:
                raise ArgumentError(f"{name} has {len(several)} numbers, expected at most "
                                    f"{member._length_}")  # fmt: skip
            value = member(*several)
        setattr(made, name, value)
    return made


class Node:
    """What a layer makes of other nodes; `convnet.layers` has the functions that return one."""

    __slots__ = ("function", "inputs", "options", "shape")

    def __init__(
        self, function: str, inputs: Tuple[Node, ...],
        options: Optional[Tuple[str, Dict[str, Any]]], shape: Tuple[int, ...] = (),
    ) -> None:  # fmt: skip
        for x in inputs:
            if not isinstance(x, Node):
                raise ArgumentError(f"{function[3:]} takes nodes, not {type(x).__name__}")
        self.function, self.inputs, self.options, self.shape = function, inputs, options, shape

    def __add__(self, other: Node) -> Node:
        return Node("cn_add", (self, other), None)


def input(*shape: int) -> Node:
    """The images of a model, (n_H, n_W, n_C) each: input(28, 28, 1)."""
    sizes = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if len(sizes) != 3:
        raise ArgumentError(f"input{sizes}: expected n_H, n_W and n_C")
    return Node("cn_input", (), None, sizes)


def concat(inputs: Sequence[Node]) -> Node:
    """2 to 8 nodes with the same leading axes, side by side along the last one."""
    return Node("cn_concat", tuple(inputs), None)


def _in_order(output: Node) -> List[Node]:
    """The nodes that the output needs, each after its inputs."""
    order: List[Node] = []
    done: Dict[int, bool] = {}
    stack = [(output, False)]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif id(node) not in done:
            done[id(node)] = True
            stack.append((node, True))
            stack += [(x, False) for x in reversed(node.inputs)]
    return order


def build(output: Node, seed: int, pointer: ctypes.c_void_p) -> None:
    """Makes the model whose output is the node, into `pointer`."""
    order = _in_order(output)
    inputs = [node for node in order if node.function == "cn_input"]
    if len(inputs) != 1:
        raise ArgumentError(f"a model has one input, not {len(inputs)}")
    call(library.cn_model_create, byref(pointer), (ctypes.c_int * 3)(*inputs[0].shape))
    at: Dict[int, int] = {}
    for node in order:
        function, given = getattr(library, node.function), [at[id(x)] for x in node.inputs]
        if node.function == "cn_concat":
            made = function(pointer, (ctypes.c_int * len(given))(*given), len(given))
        elif node.options:
            kind, options = node.options
            made = function(pointer, *given, fill(getattr(c, kind), options))
        else:
            made = function(pointer, *given)
        at[id(node)] = made
    call(library.cn_model_finish, pointer, at[id(output)], seed)
