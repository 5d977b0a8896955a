"""The tutor: runs a learner's eight functions beside the textbook and names the mistake.

    check.py [--json] FILE.py|FILE.c

The learner's code runs in child.py, which has limits. Exit status: 0 all eight are right, 1 not.
"""
import functools
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import numpy as np  # noqa: E402
import pictures  # noqa: E402
import textbook  # noqa: E402

# Seconds for everything and for a case, as Clock counts them; by the clock on the wall, whatever
# else the machine does; bytes printed.
ALL, EACH, WALL, OUTPUT = 7.5, 3.0, 60.0, 1 << 20


class Clock:
    """The seconds that a process has computed or slept: on a busy machine, waiting for a processor
    is not its fault. Where there is no /proc, those on the wall."""

    def __init__(self, process):
        self.path = f"/proc/{process.pid}/stat"
        self.begun = self.seen = time.monotonic()
        self.computed = self.slept = 0.0

    def now(self):
        wall = time.monotonic()
        try:
            with open(self.path) as file:
                fields = file.read().rsplit(")", 1)[1].split()
            computed = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError, ValueError):
            return wall - self.begun
        if computed == self.computed and fields[0] in "SDT":
            self.slept += wall - self.seen
        self.computed, self.seen = computed, wall
        return self.computed + self.slept


class Run:
    """What the functions did: results[name] is a list, one entry for each case that ended."""

    def __init__(self):
        self.there, self.results, self.begun = None, {}, None
        self.unloadable, self.ended, self.fate, self.seconds = None, False, "", 0.0

    def take(self, message):
        event = message["event"]
        if event == "loaded":
            self.there = message["functions"]
        elif event == "unloadable":
            self.unloadable = message
        elif event == "begin":
            self.begun = message["function"]
            self.results.setdefault(self.begun, [])
        elif event == "case":
            self.results[message["function"]].append(message)
            self.begun = None
        elif event == "end":
            self.ended = True


def run_child(file, library, folder, functions, seconds, helped):
    """One process for the functions, until it ends or is ended."""
    reader, writer = os.pipe()
    environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": folder, "TMPDIR": folder,
                   "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
                   "MPLBACKEND": "Agg", "TUTOR_HELPED": "1" if helped else "0"}  # fmt: skip
    command = [sys.executable, "-B", os.path.join(HERE, "child.py"), file, library, folder,
               str(writer), *functions]  # fmt: skip
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, pass_fds=(writer,), env=environment,
                               cwd=folder, start_new_session=True)  # fmt: skip
    os.close(writer)
    run, text, printed = Run(), b"", 0
    clock = Clock(process)
    began, now, last = time.monotonic(), 0.0, None
    open_fds = [reader, process.stdout.fileno()]
    while open_fds and not run.fate:
        now = clock.now()
        late = last is not None and (now > seconds or now - last > EACH)
        if late or time.monotonic() - began > WALL:
            run.fate = "time"
            break
        ready, _, _ = select.select(open_fds, [], [], 0.05)
        for fd in ready:
            data = os.read(fd, 65536)
            if not data:
                open_fds.remove(fd)
            elif fd == reader:
                last = now
                *lines, text = (text + data).split(b"\n")
                for line in lines:
                    run.take(json.loads(line))
            else:
                printed += len(data)
                if printed > OUTPUT:
                    run.fate = "output"
        if run.ended or (not ready and process.poll() is not None):
            break
    run.seconds = now
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    status = process.wait()
    process.stdout.close()
    os.close(reader)
    if not run.fate and not run.ended and run.unloadable is None:
        run.fate = "time" if status in (-signal.SIGXCPU,) else f"signal {-status}" if (
            status < 0 and status != -signal.SIGKILL) else f"exit {status}"
    return run


def run_all(file, library, folder, helped=False, wanted=None):
    """Runs the functions; where one ends the process, the others run in another."""
    left, total, seconds = list(wanted or textbook.FUNCTIONS), None, ALL
    fates = {}
    while left:
        if seconds < 0.5:
            fates.update({name: "late" for name in left if name in (total.there or ())})
            break
        run = run_child(file, library, folder, left, seconds, helped)
        seconds -= run.seconds
        if total is None:
            total = run
        else:
            total.results.update(run.results)
        if run.there is None or run.ended or run.begun is None:
            break
        fates[run.begun] = run.fate
        left = left[left.index(run.begun) + 1 :]
    return total, fates


# ---- comparing


def outcome(message):
    """What a case came to: an array, a tuple of arrays, an exception as (type, text), or a word."""
    if "error" in message:
        return ("raises", message["error"], message["text"])
    return decode(message["result"])


def decode(result):
    if result["kind"] == "several":
        return tuple(decode(part) for part in result["parts"])
    if result["kind"] != "array" or result["data"] is None:
        return ("word", result["kind"])
    return np.array(result["data"], float).reshape(result["shape"])


def is_word(value):
    return isinstance(value, tuple) and len(value) > 0 and isinstance(value[0], str)


@functools.lru_cache(maxsize=None)
def outcomes(name, slip=""):
    """What the textbook's function makes of all cases, with this mistake or none."""
    return [one_outcome(textbook.FUNCTIONS[name], case, slip) for case in textbook.cases(name)]


def one_outcome(function, case, slip):
    try:
        with np.errstate(all="ignore"):
            made = function(*case, slip=slip)
    except Exception as error:
        return ("raises", type(error).__name__, str(error))
    if isinstance(made, tuple):
        return tuple(np.asarray(one, float) for one in made)
    return np.asarray(made, float)


def squeezed(a):
    return a.reshape(()) if a.size == 1 else a


def shapes_in(text):
    return sorted(re.findall(r"\(\d[\d,\s]*\)", text))


def agree(found, wanted, compiled=False):
    if is_word(wanted) or is_word(found):
        if compiled and is_word(wanted):
            return True  # C does not notice what is an exception in numpy
        if not (is_word(found) and is_word(wanted)) or found[:2] != wanted[:2]:
            return False
        mine, its = shapes_in(found[2]), shapes_in(wanted[2])
        return not mine or not its or mine == its
    if isinstance(wanted, tuple):
        return isinstance(found, tuple) and len(found) == len(wanted) and all(
            map(agree, found, wanted))
    if not isinstance(found, np.ndarray):
        return False
    if found.shape != wanted.shape:
        found, wanted = squeezed(found), squeezed(wanted)
    return found.shape == wanted.shape and bool(
        np.allclose(found, wanted, rtol=1e-6, atol=1e-7, equal_nan=True))


def diagnose(name, found, compiled):
    """The first mistake of the catalog that explains every result, as (slip, words)."""
    right = outcomes(name)
    for slip, words in textbook.CATALOGUE[name]:
        made = outcomes(name, slip)
        told = [not agree(m, r) and not (compiled and is_word(m)) for m, r in zip(made, right)]
        if any(told) and all(agree(f, m, compiled) for f, m in zip(found, made)):
            return slip, words
    if compiled and all(isinstance(f, np.ndarray) for f in found):
        if all(agree(f - 1000.0, r) for f, r in zip(found, right)):
            return "not-set-to-zero", ("the output is added to without having been set to 0 first: "
                                       "its memory holds anything")  # fmt: skip
    return None


# ---- what is said


def traits(name, case):
    """What is special about a case, for a mistake that is not known."""
    flat = [v for one in case for v in (one if isinstance(one, tuple) else (one,))]
    h = next((v for v in flat if isinstance(v, dict)), {})
    image = next((v for v in flat if isinstance(v, np.ndarray) and v.ndim == 4), None)
    made = set()
    if h.get("stride", 1) > 1:
        made.add("a stride above 1")
    if h.get("pad", 0) > 0 or (name == "zero_pad" and case[1] > 0):
        made.add("padding")
    if image is not None and image.shape[0] > 1:
        made.add("several examples")
    for word in ("max", "average"):
        if any(isinstance(v, str) and v == word for v in flat):
            made.add(f'the mode "{word}"')
    return made


def common_trait(name, wrong):
    """What all wrong cases have and no right one has."""
    sets = [traits(name, case) for case in textbook.cases(name)]
    bad = [s for s, w in zip(sets, wrong) if w]
    good = [s for s, w in zip(sets, wrong) if not w]
    common = set.intersection(*bad) if bad else set()
    return sorted(t for t in common if good and not any(t in s for s in good))


class Verdict:
    def __init__(self, name, status, mistake="", words="", picture=""):
        self.name, self.status, self.mistake = name, status, mistake
        self.words, self.picture = words, picture


FATES = {"time": ("too-slow", "it did not end in time: is there a loop without an end?"),
         "output": ("prints-too-much", "it prints more than a megabyte: print nothing in here"),
         "late": ("late", "not checked: the functions before it took all the time")}  # fmt: skip


def fate_words(fate):
    if fate in FATES:
        return FATES[fate]
    if fate.startswith("signal"):
        number = int(fate.split()[1])
        if number in (signal.SIGSEGV, signal.SIGBUS):
            return "crash", "it crashed: it reads or writes outside of its arrays"
        return "crash", f"it ended by {signal.Signals(number).name}"
    return "exit", "it ended the program: is there an exit in here?"


def raised_words(message):
    where = f" in line {message['line']}" if message.get("line") else ""
    text = message["text"].split("\n")[0]
    if message["error"] == "MemoryError":
        return "memory", f"it asks for more than half a gigabyte of memory{where}"
    if message["error"] == "PermissionError" and "tutor" in text:
        return "forbidden", f"{text}{where}"
    return "raises", f"it raises {message['error']}{where}: {text}"


def judge(name, messages, fate, compiled):
    if fate:
        mistake, words = fate_words(fate)
        return Verdict(name, "unknown" if fate == "late" else "wrong", mistake, words)
    cases = textbook.cases(name)
    found = [outcome(m) for m in messages]
    right = outcomes(name)
    wrong = [not agree(f, r) for f, r in zip(found, right)]
    if any(m.get("outside") for m in messages):
        return Verdict(name, "wrong", "writes-outside", "it writes outside of its output")
    if not any(wrong):
        faults = [m.get("cache") for m in messages if m.get("cache")]
        if faults:
            return Verdict(name, "wrong", "cache", faults[0])
        if any(m.get("changed") for m in messages):
            return Verdict(name, "wrong", "input-changed",
                           "it changes an array that it was given: work on a copy")  # fmt: skip
        return Verdict(name, "right")
    first = wrong.index(True)
    picture = pictures.draw(name, cases[first], right[first], found[first])
    known = diagnose(name, found, compiled)
    if known:
        return Verdict(name, "wrong", *known, picture)
    if "error" in messages[first]:
        return Verdict(name, "wrong", *raised_words(messages[first]),
                       f"  with {pictures.arguments(name, cases[first])}\n")  # fmt: skip
    mistake, words = symptom(found[first], right[first])
    shared = common_trait(name, wrong)
    if shared:
        words += f"; only calls with {' and '.join(shared)} are wrong"
    return Verdict(name, "wrong", mistake, words, picture)


def symptom(found, right):
    if is_word(found):
        if found[1] == "nothing":
            return "returns-nothing", "it returns nothing"
        return "other-result", f"it returns {found[1]}, not numbers"
    if isinstance(right, tuple) != isinstance(found, tuple):
        return "other-result", "it returns another number of arrays than expected"
    if not isinstance(right, tuple):
        if squeezed(found).shape != squeezed(right).shape:
            return "shape", (f"the result has shape {found.shape}, expected {right.shape}")
        if not np.isfinite(found).all():
            return "not-finite", "the result holds NaN or infinity"
        return "values", "the result is wrong, by no mistake that the tutor knows"
    names = ("dA_prev", "dW", "db")
    bad = [n for n, f, r in zip(names, found, right) if not agree(f, r)]
    return "values", f"{' and '.join(bad)} wrong, by no mistake that the tutor knows"


def check(file, library, folder):
    """A verdict for each function, and what kept the file from being loaded."""
    run, fates = run_all(file, library, folder)
    compiled = bool(library)
    if run.unloadable or run.there is None:
        message = run.unloadable
        if message:
            words = raised_words(message)[1].replace("it raises", "loading it raises", 1)
        else:
            words = fate_words(run.fate)[1]
        return [], f"{os.path.basename(file)}: {words}"
    made = []
    for name in textbook.FUNCTIONS:
        if name not in run.there:
            made.append(Verdict(name, "missing", "missing", "not there yet"))
        elif name in run.results or name in fates:
            made.append(judge(name, run.results.get(name, []), fates.get(name), compiled))
    doubtful = [v.name for v in made if v.status == "wrong"
                and v.name in ("conv_forward", "conv_backward", "pool_backward")]  # fmt: skip
    if doubtful and not compiled and not fates:
        made = blame_helpers(file, folder, made, doubtful)
    return made, ""


def blame_helpers(file, folder, made, doubtful):
    """Runs functions that are wrong again with the textbook's helpers in place of the learner's."""
    helpers = [v.name for v in made if v.status == "wrong" and v.name not in doubtful]
    if not helpers:
        return made
    run, fates = run_all(file, "", folder, helped=True, wanted=doubtful)
    for i, verdict in enumerate(made):
        if verdict.name not in doubtful or verdict.name not in run.results:
            continue
        again = judge(verdict.name, run.results[verdict.name], fates.get(verdict.name), False)
        if again.status == "right":
            words = f"right by itself; what it calls is not: mend {' and '.join(helpers)} first"
            made[i] = Verdict(verdict.name, "wrong", "helper", words)
        elif again.mistake != "raises":
            made[i] = again
    return made


# ---- C, and the command line


def compile_c(file, folder):
    """The shared library made of a learner's C, and what the compiler says where it cannot."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if not compiler:
        return "", "there is no C compiler: CC names one"
    library = os.path.join(folder, "learner.so")
    command = [compiler, "-std=c11", "-O1", "-Wall", "-fPIC", "-shared", "-o", library,
               os.path.abspath(file), "-lm"]  # fmt: skip
    try:
        made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              timeout=WALL, cwd=folder)  # fmt: skip
    except subprocess.TimeoutExpired:
        return "", f"compiling it took more than {WALL:.0f} seconds"
    if made.returncode:
        lines = made.stdout.decode("utf-8", "replace").split("\n")
        errors = [line for line in lines if "error" in line] or lines
        return "", "it does not compile:\n  " + "\n  ".join(line[:200] for line in errors[:5])
    return library, ""


def report(verdicts, as_json):
    for v in verdicts:
        if as_json:
            print(json.dumps({"function": v.name, "status": v.status, "mistake": v.mistake,
                              "words": v.words}))  # fmt: skip
            continue
        word = {"right": "right", "wrong": "WRONG", "missing": "-", "unknown": "?"}[v.status]
        print(textwrap.fill(v.words, 100, initial_indent=f"{v.name:24} {word:6} ",
                            subsequent_indent=" " * 32) or f"{v.name:24} {word}")  # fmt: skip
        if v.picture:
            print(v.picture)
    right = sum(v.status == "right" for v in verdicts)
    if not as_json:
        print(f"{right} of {len(textbook.FUNCTIONS)} functions are right")
    return 0 if right == len(textbook.FUNCTIONS) else 1


def main():
    words = sys.argv[1:]
    as_json = "--json" in words
    file = [w for w in words if w != "--json"][-1]
    folder = tempfile.mkdtemp(prefix="convnet-check-")
    try:
        library, failure = "", ""
        if file.endswith(".c"):
            library, failure = compile_c(file, folder)
            failure = failure and f"{os.path.basename(file)}: {failure}"
        verdicts = []
        if not failure:
            verdicts, failure = check(os.path.abspath(file), library, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if failure:
        print(f"convnet check: {failure}", file=sys.stderr)
        return 1
    return report(verdicts, as_json)


if __name__ == "__main__":
    sys.exit(main())
