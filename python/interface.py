#!/usr/bin/env python3
"""Reads include/convnet.h and writes what Python needs of it: nothing is mirrored by hand.

    interface.py HEADER FOLDER    writes FOLDER/_interface.py and FOLDER/layers.py

_interface.py has every constant, every struct as a ctypes.Structure, and the types of every
function. layers.py has one function per type of layer. The tests and the benchmarks call
`namespace(HEADER)` instead, which runs the text of _interface.py without a file.

What is read is the C of that one header, not C: a declaration of another form is an error that
quotes it.
"""
import os
import re
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Tuple


class Member(NamedTuple):
    name: str
    c_type: str  # "const char *", "int", or "function"
    count: int  # elements of an array; 0: not an array
    comment: str


class Struct(NamedTuple):
    name: str
    members: List[Member]
    comment: str


class Parameter(NamedTuple):
    name: str
    c_type: str


class Function(NamedTuple):
    name: str
    result: str
    parameters: List[Parameter]
    comment: str


class Header(NamedTuple):
    constants: Dict[str, int]
    enums: Dict[str, List[str]]  # the names of a type's constants, in order
    aliases: Dict[str, str]  # cn_node: int
    callbacks: Dict[str, str]  # the types of functions, as "bool(int layer, void *user)"
    opaque: List[str]
    structs: List[Struct]
    functions: List[Function]


SCALARS = {
    "bool": "c_bool", "char": "c_char", "int": "c_int", "float": "c_float", "double": "c_double",
    "size_t": "c_size_t", "int32_t": "c_int32", "int64_t": "c_int64", "uint8_t": "c_uint8",
    "uint32_t": "c_uint32", "uint64_t": "c_uint64",
}  # fmt: skip


class Unreadable(ValueError):
    pass


# ---- reading


def _comment_text(comment: str) -> str:
    """The words of a comment, without its stars."""
    lines = comment.strip()[2:-2].strip("\n").split("\n")
    return "\n".join(re.sub(r"^ ?\*? ?", "", line.rstrip()) for line in lines).strip()


def _number(text: str, constants: Dict[str, int]) -> int:
    text = text.strip()
    if text in constants:
        return constants[text]
    if re.fullmatch(r"[-+()\d\s<|*xa-fA-F]+", text):
        return int(eval(text))  # digits and operators only
    raise Unreadable(f'not a number that is known: "{text}"')


def _macros(text: str, constants: Dict[str, int]) -> Tuple[str, Dict[str, str]]:
    """The text without its directives, and the bodies of the lists X(...) that it defines."""
    text = re.sub(r"\\\n", " ", text)
    lists: Dict[str, str] = {}
    for name, value in re.findall(r"^#define (\w+) (-?\d+)$", text, re.M):
        constants[name] = int(value)
    for name, body in re.findall(r"^#define (\w+)\(X\)(.*)$", text, re.M):
        lists[name] = ", ".join(f"{a} = {b}" for a, b in re.findall(r"X\((\w+),\s*(-?\d+)", body))
    text = re.sub(r'^extern "C" \{$|^\}\n#endif\n(?=\n#endif|\Z)', "", text, flags=re.M)
    return re.sub(r"^#.*$", "", text, flags=re.M), lists


def _members(body: str, constants: Dict[str, int]) -> List[Member]:
    """A comment belongs to the members before it, or where it begins a line to those after it."""
    found: List[Member] = []
    statement, above, last = "", "", 0
    for piece in re.split(r"(/\*.*?\*/|;)", body, flags=re.S):
        if piece.startswith("/*"):
            words = _comment_text(piece)
            if statement.strip():
                above = f"{above} {words}".strip()
            elif "\n" in statement or not found:
                above = words
            else:
                found[last:] = [m._replace(comment=words) for m in found[last:]]
        elif piece != ";":
            statement += piece
        else:
            last = len(found)
            found += _declarators(" ".join(statement.split()), constants, above)
            statement, above = "", ""
    if statement.strip():
        raise Unreadable(f'not a member: "{statement.strip()}"')
    return found


def _declarators(text: str, constants: Dict[str, int], comment: str) -> List[Member]:
    pointer = re.fullmatch(r"(.*?)\(\*(\w+)\)\((.*)\)", text)
    if pointer:
        return [Member(pointer[2], f"{pointer[1].strip()}({pointer[3]})", 0, comment)]
    first = re.fullmatch(r"((?:const )?\w+ )(.*)", text)
    if not first or re.search(r"[{}:]", text):
        raise Unreadable(f'not a member: "{text}"')
    found = []
    for part in first[2].split(","):
        one = re.fullmatch(r"\s*((?:\*|const )*)(\w+)(?:\[(\w+)\])?\s*", part)
        if not one:
            raise Unreadable(f'not a member: "{text}"')
        count = _number(one[3], constants) if one[3] else 0
        found.append(Member(one[2], (first[1] + one[1]).strip(), count, comment))
    return found


def _parameters(text: str) -> List[Parameter]:
    found: List[Parameter] = []
    if text.strip() in ("", "void"):
        return found
    depth, pieces = 0, [""]
    for c in text:
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += c
    for piece in pieces:
        piece = " ".join(piece.split())
        pointer = re.fullmatch(r"(.*?)\(\*(\w+)\)\((.*)\)", piece)
        plain = re.fullmatch(r"(.*?)(\w+)(\[\w*\])?", piece)
        if pointer:
            found.append(Parameter(pointer[2], f"{pointer[1].strip()}({pointer[3]})"))
        elif plain and plain[1]:
            array = " *" if plain[3] else ""
            found.append(Parameter(plain[2], plain[1].strip() + array))
        else:
            raise Unreadable(f'not a parameter: "{piece}"')
    return found


_ITEM = re.compile(
    r"(?P<comment>/\*.*?\*/)"
    r"|typedef enum (?P<enum>\w+) \{(?P<enum_body>.*?)\} \w+;"
    r"|enum \{(?P<loose>.*?)\};"
    r"|typedef struct (?P<struct>\w+) \{(?P<body>.*?)\n\} \w+;"
    r"|typedef struct (?P<opaque>\w+) \w+;"
    r"|typedef (?P<alias_of>\w+) (?P<alias>\w+);"
    r"|typedef (?P<returns>\w+) (?P<callback>\w+)\((?P<takes>[^;]*?)\);"
    r"|CN_API (?P<result>[\w ]+?[ *]+)(?P<function>\w+)\((?P<parameters>.*?)\);"
    r"|(?P<space>\s+)",
    re.S,
)


def read(text: str) -> Header:
    constants: Dict[str, int] = {}
    header = Header(constants, {}, {}, {}, [], [], [])
    text, lists = _macros(text, constants)
    at, comment = 0, ""
    while at < len(text):
        item = _ITEM.match(text, at)
        if not item:
            raise Unreadable("not understood: " + text[at : at + 200].strip().split("\n\n")[0])
        at = item.end()
        if item["comment"]:
            comment = _comment_text(item["comment"])
            continue
        if item["space"]:
            if item["space"].count("\n") > 1:
                comment = ""
            continue
        if item["enum"] or item["loose"]:
            names = _enumerators(item["enum_body"] or item["loose"], lists, constants)
            if item["enum"]:
                header.enums[item["enum"]] = names
        elif item["struct"]:
            members = _members(item["body"], constants)
            header.structs.append(Struct(item["struct"], members, comment))
        elif item["opaque"]:
            header.opaque.append(item["opaque"])
        elif item["callback"]:
            header.callbacks[item["callback"]] = f"{item['returns']}({item['takes']})"
        elif item["alias"]:
            header.aliases[item["alias"]] = item["alias_of"]
        else:
            header.functions.append(
                Function(item["function"], item["result"].strip(),
                         _parameters(item["parameters"]), comment))  # fmt: skip
        comment = ""
    return header


def _enumerators(body: str, lists: Dict[str, str], constants: Dict[str, int]) -> List[str]:
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    body = re.sub(r"(\w+)\(\w+\)", lambda m: lists[m[1]], body)
    names, value = [], -1
    for part in body.split(","):
        if not part.strip():
            continue
        name, _, given = part.partition("=")
        value = _number(given, constants) if given else value + 1
        names.append(name.strip())
        constants[names[-1]] = value
    return names


# ---- writing


class Writer:
    def __init__(self, header: Header) -> None:
        self.header = header
        self.structs = {s.name: s for s in header.structs}

    def ctype(self, c_type: str) -> str:
        """The name in ctypes of a type in C."""
        if "(" in c_type:
            result, _, rest = c_type.partition("(")
            takes = [self.ctype(p.c_type) for p in _parameters(rest[:-1])]
            made = "None" if result.strip() == "void" else self.ctype(result)
            return f"CFUNCTYPE({', '.join([made] + takes)})"
        stars = c_type.count("*")
        name = re.sub(r"\bconst\b|\*", "", c_type).strip()
        if name in self.header.callbacks and stars == 1:
            return self.ctype(self.header.callbacks[name])
        name = self.header.aliases.get(name, name)
        if name == "void" and stars:
            return "POINTER(c_void_p)" if stars > 1 else "c_void_p"
        if name == "char" and stars:
            return "POINTER(c_char_p)" if stars > 1 else "c_char_p"
        if name in self.header.opaque:
            base, stars = "c_void_p", stars - 1
        elif name in SCALARS:
            base = SCALARS[name]
        elif name in self.header.enums:
            base = "c_int"
        elif name in self.structs:
            base = name
        else:
            raise Unreadable(f'no such type: "{c_type}"')
        for _ in range(stars):
            base = f"POINTER({base})"
        return base

    def hint(self, member: Member) -> str:
        if member.count or "(" in member.c_type or "*" in member.c_type:
            return "Any"
        made = self.ctype(member.c_type)
        if made in self.structs:
            return made
        return {"c_bool": "bool", "c_float": "float", "c_double": "float"}.get(made, "int")

    def order(self) -> List[Struct]:
        """The structs, each after those that it points to."""
        done: List[Struct] = []
        left = list(self.header.structs)
        while left:
            names = {s.name for s in left}
            for s in left:
                needs = {w for m in s.members for w in re.findall(r"\w+", m.c_type)} & names
                if not needs - {s.name}:
                    done.append(s)
                    left.remove(s)
                    break
            else:
                raise Unreadable(f"structs that refer to each other: {', '.join(names)}")
        return done

    def struct(self, s: Struct) -> str:
        lines = [f"class {s.name}(Structure):"]
        lines += [f"    {m.name}: {self.hint(m)}" for m in s.members]
        lines.append("    _fields_ = [")
        for m in s.members:
            made = self.ctype(m.c_type)
            if m.count:
                made = f"{made} * {m.count}"
            lines.append(f'        ("{m.name}", {made}),')
        return "\n".join(lines + ["    ]"])

    def interface(self) -> str:
        lines = [
            '"""The C interface, made from convnet.h by interface.py: not to be edited."""',
            "from __future__ import annotations",
            "",
            "from ctypes import (CDLL, CFUNCTYPE, POINTER, Structure, c_bool, c_char, c_char_p,",
            "                    c_double, c_float, c_int, c_int32, c_int64, c_size_t, c_uint8,",
            "                    c_uint32, c_uint64, c_void_p)",
            "from typing import Any, Dict, Tuple",
            "",
        ]
        lines += [f"{name} = {value}" for name, value in self.header.constants.items()]
        lines += ["", "ENUMS: Dict[str, Tuple[str, ...]] = {"]
        for name, names in self.header.enums.items():
            lines.append(f'    "{name}": ({", ".join(repr(n) for n in names)},),')
        lines += ["}", ""]
        for s in self.order():
            lines += ["", self.struct(s), ""]
        lines += ["", "# The enum of a member that has one.", "MEMBERS: Dict[str, Dict[str, str]] = {"]
        for s in self.header.structs:
            known = {m.name: m.c_type for m in s.members if m.c_type in self.header.enums}
            if known:
                lines.append(f'    "{s.name}": {known!r},')
        lines += ["}", "", "PROTOTYPES: Dict[str, Tuple[Any, Tuple[Any, ...]]] = {"]
        for f in self.header.functions:
            result = "None" if f.result == "void" else self.ctype(f.result)
            made = [self.ctype(p.c_type) for p in f.parameters]
            lines.append(f'    "{f.name}": ({result}, ({", ".join(made)}{"," if made else ""})),')
        lines += [
            "}",
            "",
            "",
            "def declare(library: CDLL) -> CDLL:",
            '    """Tells ctypes the types of the library\'s functions."""',
            "    for name, (result, parameters) in PROTOTYPES.items():",
            "        function = getattr(library, name)",
            "        function.restype = result",
            "        function.argtypes = parameters",
            "    return library",
            "",
        ]
        return "\n".join(lines)

    # -- layers

    def words(self, enum: str) -> List[str]:
        """"same" for CN_PADDING_SAME."""
        names = self.header.enums[enum]
        prefix = os.path.commonprefix([n + "_" for n in names])
        prefix = prefix[: prefix.rfind("_") + 1]
        return [n[len(prefix) :].lower() for n in names]

    def option_hint(self, m: Member) -> Tuple[str, str]:
        """The type hint of an option, and its default."""
        if m.name == "name":
            return "Optional[str]", "None"
        if m.c_type in self.header.enums:
            words = self.words(m.c_type)
            return f"Literal[{', '.join(repr(w) for w in words)}]", repr(words[0])
        if m.count:
            return "Union[int, Sequence[int]]", "0"
        made = self.hint(m)
        return made, {"bool": "False", "float": "0.0", "int": "0"}[made]

    def layer(self, f: Function) -> Optional[str]:
        """The Python function of a layer's constructor; None for a function of another kind."""
        p = f.parameters
        if f.result != "cn_node" or p[0].c_type != "cn_model *" or len(p) < 2:
            return None
        name = f.name[3:]
        nodes = [q.name for q in p[1:] if q.c_type == "cn_node"]
        given = re.sub(r"\bconst\b|\*", "", p[-1].c_type).strip()
        options = self.structs[given].members if given in self.structs else []
        if not nodes or len(nodes) + bool(options) != len(p) - 1:
            return None
        pairs = [(m, *self.option_hint(m)) for m in options]
        head = ", ".join([f"{n}: Node" for n in nodes] + (["*"] if pairs else [])
                         + [f"{m.name}: {hint} = {default}" for m, hint, default in pairs])  # fmt: skip
        about = self.structs[given].comment if options else ""
        doc = [f.comment or about or f"The layer {name}.", ""]
        doc += [f"{m.name}: {' '.join(m.comment.split())}" for m in options if m.comment]
        text = "\n".join(doc).strip().replace("\\", "\\\\").replace("\n", "\n    ")
        text = text.replace("    \n", "\n")
        lines = [f"def {name}({head}) -> Node:", f'    """{text}"""']
        made = ", ".join(f"{m.name}={m.name}" for m in options)
        by = "None" if not options else f'("{given}", dict({made}))'
        lines.append(f'    return Node("{f.name}", ({", ".join(nodes)},), {by})')
        return "\n".join(lines)

    def layers(self) -> str:
        made = [text for text in map(self.layer, self.header.functions) if text]
        names = [re.match(r"def (\w+)", text)[1] for text in made]  # type: ignore[index]
        lines = [
            '"""The layers as calls, made from convnet.h by interface.py: not to be edited.',
            "",
            "Each takes nodes and returns one: x = conv2d(x, filters=6, kernel=5, pad=\"same\"). An",
            'option of 0 is left to its default; kernel=3 means 3 x 3."""',
            "from __future__ import annotations",
            "",
            "from typing import Literal, Optional, Sequence, Union",
            "",
            "from .graph import Node, concat, input",
            "",
            f"__all__ = {sorted(names + ['Node', 'concat', 'input'])!r}",
        ]
        return "\n".join(lines) + "\n\n\n" + "\n\n\n".join(made) + "\n"


def namespace(path: str) -> Dict[str, Any]:
    """The names of _interface.py, made from the header at `path`."""
    with open(path, encoding="utf-8") as file:
        text = Writer(read(file.read())).interface()
    names: Dict[str, Any] = {}
    exec(compile(text, "_interface.py", "exec"), names)
    return names


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        writer = Writer(read(file.read()))
    for name, text in (("_interface.py", writer.interface()), ("layers.py", writer.layers())):
        with open(os.path.join(sys.argv[2], name), "w", encoding="utf-8") as out:
            out.write(text)


if __name__ == "__main__":
    try:
        main()
    except Unreadable as reason:
        sys.exit(f"interface.py: {sys.argv[1]}: {reason}")
