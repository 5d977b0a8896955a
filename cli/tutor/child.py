"""Runs a learner's functions, in a process of its own with limits, and writes down what they do.

    child.py FILE LIBRARY FOLDER PIPE FUNCTION...

FILE is the learner's; LIBRARY is "" or, for C, what FILE was compiled to. Only FOLDER may be written
to. Each line of the PIPE is a JSON object: what a function made of one case.
"""
import ctypes
import json
import os
import resource
import struct
import sys
import traceback

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import numpy as np  # noqa: E402
import textbook  # noqa: E402

MEMORY, FILES, SECONDS, LARGEST = 1 << 29, 1 << 20, 9, 100_000
HELPERS = ("zero_pad", "conv_single_step", "create_mask_from_window", "distribute_value")

# What a notebook imports and these functions do without.
OPTIONAL = {"matplotlib", "h5py", "scipy", "PIL", "IPython", "public_tests", "test_utils",
            "outputs", "cnn_utils", "tensorflow", "pytest"}  # fmt: skip


# ---- limits


def landlock(folder):
    """Nothing may be written, made or removed outside the folder, where the kernel can do that
    (Linux 5.13): include/uapi/linux/landlock.h has the structs and the bits."""
    libc = ctypes.CDLL(None, use_errno=True)
    create, add, restrict = 444, 445, 446
    version = libc.syscall(create, None, ctypes.c_size_t(0), 1)
    if version < 1:
        return
    bits = 1 << 1 | sum(1 << i for i in range(4, 13))
    bits |= (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)
    ruleset = libc.syscall(create, struct.pack("Q", bits), ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return
    for path, allowed in ((folder, bits), (os.devnull, 1 << 1)):
        place = os.open(path, os.O_PATH)
        libc.syscall(add, ruleset, 1, struct.pack("=Qi", allowed, place), 0)
        os.close(place)
    libc.prctl(38, 1, 0, 0, 0)  # no new privileges, which restrict asks for
    libc.syscall(restrict, ruleset, 0)
    os.close(ruleset)


CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.chmod",
           "os.chown", "os.truncate", "os.utime", "os.chdir", "shutil.rmtree", "shutil.move",
           "shutil.copyfile"}  # fmt: skip
NEVER = ("subprocess.", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.kill", "socket.",
         "pty.")  # fmt: skip


def audit(folder):
    """The same for what Python does, on every system, and with a reason that can be read."""
    inside = os.path.realpath(folder) + os.sep

    def outside(path):
        if not isinstance(path, (str, bytes)):
            return False
        return not (os.path.realpath(os.fsdecode(path)) + os.sep).startswith(inside)

    def hook(event, arguments):
        if event == "open":
            path, mode, flags = arguments
            writes = isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if writes and path != os.devnull and outside(path):
                raise PermissionError(f"the tutor lets nothing be written: {path!r}")
        elif event in CHANGES and any(outside(path) for path in arguments[:2]):
            raise PermissionError(f"the tutor lets nothing be changed: {event}")
        elif event.startswith(NEVER):
            raise PermissionError(f"the tutor does not allow {event}")

    sys.addaudithook(hook)


def address_space():
    """The bytes that this process has now, with Python and numpy in them."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * resource.getpagesize()
    except OSError:
        return 1 << 30


def limit(folder):
    for which, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_FSIZE, FILES),
                        (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64),
                        (resource.RLIMIT_AS, address_space() + MEMORY)):  # fmt: skip
        resource.setrlimit(which, (most, most))
    landlock(folder)


# ---- a learner's Python


class Anything:
    """Stands for a module that is not needed here: takes every use."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *_, **__):
        return self

    def __getitem__(self, _):
        return self

    def __setitem__(self, *_):
        pass


class Optional:
    """Finds what a notebook imports, and is not there, as Anything."""

    def find_spec(self, name, *_):
        import importlib.machinery

        if name.split(".")[0] not in OPTIONAL:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec):
        import types

        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: Anything().__getattr__(name)
        module.__all__ = []
        return module

    def exec_module(self, module):
        pass


def load_python(path):
    sys.meta_path.append(Optional())
    with open(path, encoding="utf-8") as file:
        source = file.read(FILES)
    # A cell's magic and shell lines are no Python.
    lines = ["pass" if line[:1] in ("%", "!") else line for line in source.split("\n")]
    names = {"__name__": "learner", "__file__": path}
    sys.argv = [path]
    exec(compile("\n".join(lines), path, "exec"), names)
    return names


def place(path):
    """The last line of the learner's file on the way to an exception."""
    lines = [frame.lineno for frame in traceback.extract_tb(sys.exc_info()[2])
             if frame.filename == path]  # fmt: skip
    error = sys.exc_info()[1]
    if isinstance(error, SyntaxError):
        return error.lineno
    return lines[-1] if lines else None


# ---- a learner's C: the functions over plain arrays of doubles (docs/tutor.md)

GUARD, UNSET = 64, 1000.0


class C:
    """Calls a compiled function, with room around each output that has to stay as it is."""

    def __init__(self, path):
        self.library = ctypes.CDLL(path)
        self.wrote_outside = False

    def has(self, name):
        return hasattr(self.library, name)

    def run(self, name, arrays, numbers, outputs, result=None):
        """numbers are ints and doubles, in order, after the input arrays; outputs are shapes."""
        function = getattr(self.library, name)
        function.restype = result
        given = [a.ctypes.data_as(ctypes.c_void_p) for a in arrays]
        given += [ctypes.c_double(n) if isinstance(n, float) else ctypes.c_int(n) for n in numbers]
        rooms = []
        for shape in outputs:
            size = int(np.prod(shape))
            room = np.full(size + 2 * GUARD, UNSET)
            rooms.append((room, size, shape))
            given.append(ctypes.c_void_p(room.ctypes.data + GUARD * 8))
        value = function(*given)
        made = []
        for room, size, shape in rooms:
            if (room[:GUARD] != UNSET).any() or (room[GUARD + size :] != UNSET).any():
                self.wrote_outside = True
            made.append(room[GUARD : GUARD + size].reshape(shape).copy())
        return value if result else made[0] if len(made) == 1 else tuple(made)

    def call(self, name, case):
        if name == "zero_pad":
            X, pad = case
            m, h, w, c = X.shape
            return self.run(name, [X], [m, h, w, c, pad], [(m, h + 2 * pad, w + 2 * pad, c)])
        if name == "conv_single_step":
            a, W, b = case
            return self.run(name, [a, W], [b.item(), a.shape[0], a.shape[2]], [], ctypes.c_double)
        if name == "conv_forward":
            A, W, b, h = case
            shape = textbook.conv_forward(A, W, b, h).shape
            sizes = [*A.shape, W.shape[0], W.shape[3], h["stride"], h["pad"]]
            return self.run(name, [A, W, b], sizes, [shape])
        if name == "conv_backward":
            dZ, (A, W, b, h) = case
            sizes = [*A.shape, W.shape[0], W.shape[3], h["stride"], h["pad"]]
            return self.run(name, [dZ, A, W, b], sizes, [A.shape, W.shape, b.shape])
        if name == "pool_forward":
            A, h, mode = case
            shape = textbook.pool_forward(A, h, mode).shape
            sizes = [*A.shape, h["f"], h["stride"], int(mode == "average")]
            return self.run(name, [A], sizes, [shape])
        if name == "pool_backward":
            dA, (A, h), mode = case
            sizes = [*A.shape, h["f"], h["stride"], int(mode == "average")]
            return self.run(name, [dA, A], sizes, [A.shape])
        if name == "create_mask_from_window":
            return self.run(name, [case[0]], list(case[0].shape), [case[0].shape])
        dz, (n_H, n_W) = case
        return self.run(name, [], [dz, n_H, n_W], [(n_H, n_W)])


# ---- running


def copy(value):
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple):
        return tuple(copy(v) for v in value)
    return dict(value) if isinstance(value, dict) else value


def same(a, b):
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return isinstance(a, np.ndarray) and isinstance(b, np.ndarray) and np.array_equal(a, b)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(same, a, b))
    return a == b


def encode(value):
    """A result as JSON: its shape and its numbers."""
    if value is None:
        return {"kind": "nothing"}
    if isinstance(value, tuple):
        return {"kind": "several", "parts": [encode(v) for v in value[:4]]}
    try:
        made = np.asarray(value)
        if made.size > LARGEST:
            return {"kind": "array", "shape": list(made.shape), "data": None}
        numbers = made.astype(float)
    except (TypeError, ValueError):
        return {"kind": type(value).__name__}
    return {"kind": "array", "shape": list(made.shape), "data": numbers.ravel().tolist(),
            "dtype": str(made.dtype)}  # fmt: skip


def cache_fault(name, cache, case):
    """What is wrong with the cache of a forward function; "" if nothing."""
    wanted = case if name == "conv_forward" else case[:2]
    names = ("A_prev", "W", "b", "hparameters") if name == "conv_forward" else (
        "A_prev", "hparameters")
    if not isinstance(cache, tuple) or len(cache) != len(wanted):
        return f"the cache is not ({', '.join(names)})"
    for part, given, what in zip(cache, wanted, names):
        if not same(part, given):
            return f"the cache has another {what} than the function was given"
    return ""


def run_case(name, function, case):
    given = copy(case)
    out = function(*given)
    made = {}
    if name in ("conv_forward", "pool_forward"):
        if isinstance(out, tuple) and len(out) == 2:
            made["cache"] = cache_fault(name, out[1], case)
            out = out[0]
        else:
            made["cache"] = "the function returns no cache beside its result"
            out = out[0] if isinstance(out, tuple) and out else out
    made["result"] = encode(out)
    if not all(map(same, given, case)):
        made["changed"] = True
    return made


def main():
    path, library, folder, pipe = sys.argv[1:5]
    wanted, helped = sys.argv[5:], os.environ.get("TUTOR_HELPED") == "1"
    out = os.fdopen(int(pipe), "w", buffering=1)

    def say(**message):
        out.write(json.dumps(message) + "\n")

    os.chdir(folder)
    compiled = C(library) if library else None
    limit(folder)
    names = {}
    if compiled is None:
        audit(folder)
        say(event="loading")
        try:
            names = load_python(path)
        except BaseException as error:  # also exit(), and Ctrl-C of its own
            say(event="unloadable", error=type(error).__name__, text=str(error)[:500],
                line=place(path))  # fmt: skip
            return
    there = [name for name in textbook.FUNCTIONS
             if (compiled.has(name) if compiled else callable(names.get(name)))]  # fmt: skip
    say(event="loaded", functions=there)
    for name in wanted:
        if name not in there:
            continue
        if compiled:
            def function(*case, name=name):
                made = compiled.call(name, case)
                return (made, case if name == "conv_forward" else case[:2]) if name in (
                    "conv_forward", "pool_forward") else made
        else:
            function = names[name]
            for helper in HELPERS if helped else ():
                if helper != name and helper in names:
                    names[helper] = getattr(textbook, helper)
        for i, case in enumerate(textbook.cases(name)):
            say(event="begin", function=name, case=i)
            try:
                made = run_case(name, function, case)
            except BaseException as error:
                made = {"error": type(error).__name__, "text": str(error)[:500], "line": place(path)}
            if compiled and compiled.wrote_outside:
                made["outside"], compiled.wrote_outside = True, False
            say(event="case", function=name, case=i, **made)
    say(event="end")


if __name__ == "__main__":
    main()
