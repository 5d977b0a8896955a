"""The tutor: every mistake of tests/tutor/mutants.py is found and named; nothing right is blamed; and
what loops, hoards, prints, writes or raises is answered in words."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import warnings

HERE = os.path.dirname(os.path.abspath(__file__))
TUTOR = os.path.join(HERE, "..", "..", "cli", "tutor")
LEARNERS = HERE
sys.path[:0] = [TUTOR, LEARNERS]
import check  # noqa: E402
import child  # noqa: E402
import mutants  # noqa: E402
import textbook  # noqa: E402

COMMAND = os.environ["CONVNET_COMMAND"]


def read(name):
    with open(os.path.join(LEARNERS, name)) as file:
        return file.read()


RIGHT = read("right.py")
PLAIN = "\n".join("pass" if line[:1] == "%" else line for line in RIGHT.split("\n"))


def verdict(source, function):
    """The tutor's, found in this process: sources of the test are no danger."""
    names, messages = {}, []
    exec(compile(source, "my.py", "exec"), names)
    for case in textbook.cases(function):
        try:
            made = child.run_case(function, names[function], case)
        except Exception as error:
            made = {"error": type(error).__name__, "text": str(error), "line": None}
        messages.append(json.loads(json.dumps(made)))
    return check.judge(function, messages, None, False)


class Catalog(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        sys.meta_path.append(cls.finder)

    @classmethod
    def tearDownClass(cls):
        sys.meta_path.remove(cls.finder)
        for name in list(sys.modules):
            if name.split(".")[0] in child.OPTIONAL and not hasattr(sys.modules[name], "__file__"):
                del sys.modules[name]

    finder = child.Optional()

    def test_mistakes_are_found_and_named(self):
        self.assertGreaterEqual(len(mutants.MUTANTS), 30)
        found = named = 0
        misses = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for function, mistake, *replacements in mutants.MUTANTS:
                v = verdict(mutants.mutated(PLAIN, function, *replacements), function)
                found += v.status == "wrong"
                named += v.mistake == mistake
                if v.mistake != mistake:
                    misses.append((function, mistake, v.mistake, v.words))
        self.assertEqual(found, len(mutants.MUTANTS), misses)
        self.assertGreaterEqual(named, 0.9 * len(mutants.MUTANTS), misses)
        print(f"{len(mutants.MUTANTS)} mistakes: {found} found, {named} named", end=" ")

    def test_no_two_mistakes_are_taken_for_each_other(self):
        """Every slip of the textbook changes some result, and is told apart from the right one."""
        for function, rows in textbook.CATALOGUE.items():
            right = check.outcomes(function)
            for slip, words in rows:
                made = check.outcomes(function, slip)
                self.assertFalse(all(map(check.agree, made, right)), (function, slip))
                self.assertNotIn("[", words.replace("b[..., c]", "").replace("dA[i, h, w, c]", ""))

    def test_right_ones_are_right(self):
        for source in (PLAIN, read("other.py"), read("recursive.py")):
            for function in textbook.FUNCTIONS:
                v = verdict(source, function)
                self.assertEqual((v.status, v.mistake), ("right", ""), function)


class Learner(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def check(self, source, name="my.py", json_lines=False):
        """Exit status, what was printed, and errors."""
        path = os.path.join(self.folder, name)
        with open(path, "w") as file:
            file.write(source)
        environment = dict(os.environ, CONVNET_PYTHON=sys.executable, TMPDIR=self.folder)
        command = [COMMAND, "check", path] + (["--json"] if json_lines else [])
        made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env=environment, universal_newlines=True)
        os.remove(path)
        self.assertEqual(os.listdir(self.folder), [])
        return made.returncode, made.stdout, made.stderr

    def verdicts(self, out):
        """The words by function; a line that begins with blanks goes on with the one before."""
        whole = re.sub(r"\n {32}", " ", out)
        return {line.split()[0]: " ".join(line.split()[1:]) for line in whole.splitlines()
                if line.split() and line.split()[0] in textbook.FUNCTIONS}

    def mutated(self, function, *replacements):
        return self.check(mutants.mutated(RIGHT, function, *replacements))

    def test_a_right_notebook(self):
        code, out, err = self.check(RIGHT)
        self.assertEqual((code, err), (0, ""), out)
        self.assertTrue(out.endswith("8 of 8 functions are right\n"))

    def test_a_mistake_is_shown(self):
        code, out, err = self.mutated(
            "conv_single_step", "Z = np.sum(s)\n    Z = Z + float(b.item())", "Z = np.sum(s + b)")
        self.assertEqual(code, 1)
        found = self.verdicts(out)
        self.assertIn("WRONG the bias is added once per element", found["conv_single_step"])
        self.assertEqual(found["conv_forward"], "WRONG right by itself; what it calls is not: "
                         "mend conv_single_step first")
        for words in ("the first wrong cell is Z: expected", "window, channel 0", "filter, channel 0",
                      "bias 5"):
            self.assertIn(words, out)
        self.assertIn("6 of 8 functions are right", out)

    def test_json(self):
        code, out, _ = self.check("def zero_pad(X, pad):\n    return X\n", json_lines=True)
        rows = [json.loads(line) for line in out.splitlines()]
        self.assertEqual(code, 1)
        self.assertEqual([r["status"] for r in rows], ["wrong"] + ["missing"] * 7)
        self.assertEqual(rows[0]["mistake"], "not-padded")

    def test_what_cannot_be_loaded(self):
        code, _, err = self.check("import numpy as np\nx = = 3\n")
        self.assertEqual(code, 1)
        self.assertRegex(err, r"my\.py: loading it raises SyntaxError in line 2: invalid syntax")
        self.assertIn("ModuleNotFoundError in line 1", self.check("import nunpy\n")[2])
        self.assertIn("expected a file that ends in", self.check("x", "my.txt")[2])

    def test_what_raises(self):
        code, out, err = self.mutated("conv_backward", "a_slice = a_prev_pad", "a_slice = a_prev")
        self.assertEqual((code, err), (1, ""))
        self.assertRegex(self.verdicts(out)["conv_backward"],
                         r"^WRONG it raises NameError in line \d+: name 'a_prev'")
        self.assertIn("with dZ 1 x 2 x 3 x 1, A_prev 1 x 3 x 4 x 1", out)

    def test_what_never_ends(self):
        code, out, _ = self.check(
            "def zero_pad(X, pad):\n    while True: pass\n"
            "def distribute_value(dz, shape):\n    import time; time.sleep(100)\n")
        self.assertEqual(code, 1)
        found = self.verdicts(out)
        for name in ("zero_pad", "distribute_value"):
            self.assertIn("it did not end in time: is there a loop without an end?", found[name])
        self.assertIn("did not end in time", self.check("while True: pass\n")[2])

    def test_time_that_is_computed_or_slept_counts(self):
        for code in ("while True: pass", "import time; time.sleep(1000)"):
            process = subprocess.Popen([sys.executable, "-c", code])
            clock = check.Clock(process)
            while clock.now() < 0.5:  # forever, and so until the test is ended, where it does not
                time.sleep(0.05)
            process.kill()
            process.wait()

    def test_what_hoards_prints_or_ends_the_program(self):
        code, out, _ = self.check(
            "import os\n"
            "def zero_pad(X, pad):\n    a = []\n    while True: a.append(bytearray(1 << 26))\n"
            "def conv_single_step(a, W, b):\n    while True: print('x' * 1000)\n"
            "def conv_forward(A_prev, W, b, hparameters):\n    os._exit(0)\n"
            "def pool_forward(A_prev, hparameters, mode):\n    os.abort()\n"
            "def conv_backward(dZ, cache):\n    raise SystemExit\n"
            "def create_mask_from_window(x):\n    return x == x.max()\n"
            "def distribute_value(dz, shape):\n    return 'text'\n")
        self.assertEqual(code, 1)
        self.assertLess(len(out), 3000)
        found = self.verdicts(out)
        self.assertIn("asks for more than half a gigabyte of memory in line 4", found["zero_pad"])
        self.assertIn("it prints more than a megabyte", found["conv_single_step"])
        self.assertIn("it ended the program", found["conv_forward"])
        self.assertIn("it ended by SIGABRT", found["pool_forward"])
        self.assertIn("it raises SystemExit in line 12", found["conv_backward"])
        self.assertEqual(found["create_mask_from_window"], "right")
        self.assertIn("it returns str, not numbers", found["distribute_value"])

    def test_what_writes_or_runs_something(self):
        victim, own = os.path.join(self.folder, "victim"), os.path.join(LEARNERS, "right.py")
        lines = {"zero_pad": f"open({victim!r}, 'w').write('x')", "conv_forward": f"os.mkdir({victim!r})",
                 "pool_forward": f"pathlib.Path({victim!r}).touch()", "conv_backward":
                 "os.system('true')", "create_mask_from_window": "subprocess.run(['true'])",
                 "distribute_value": f"os.remove({own!r})"}
        source = "import os, pathlib, subprocess\n" + "".join(
            f"def {name}(*_):\n    {line}\n    return _[0]\n" for name, line in lines.items())
        found = self.verdicts(self.check(source)[1])
        for name in lines:
            self.assertRegex(found[name], "^WRONG the tutor (lets nothing be|does not allow)")
        self.assertTrue(os.path.exists(own))

    def test_inputs_and_caches(self):
        source = mutants.mutated(RIGHT, "pool_forward", "cache = (A_prev, hparameters)",
                                 "cache = (A, hparameters)")
        source = mutants.mutated(source, "zero_pad", "return X_pad", "X *= 0; return X_pad")
        found = self.verdicts(self.check(source)[1])
        self.assertIn("the cache has another A_prev", found["pool_forward"])
        self.assertIn("it changes an array that it was given", found["zero_pad"])


@unittest.skipUnless(shutil.which(os.environ.get("CC", "cc")), "no C compiler")
class LearnersC(Learner):
    check_c = lambda self, source: Learner.check(self, source, "my.c")  # noqa: E731

    def test_right(self):
        code, out, err = self.check_c(read("right.c"))
        self.assertEqual((code, err), (0, ""), out)

    def test_mistakes(self):
        source, expected = read("right.c"), {}
        for name, old, new, words in (
            ("conv_single_step", "return sum + b;", "return sum + b * f * f * n_C_prev;",
             "once per element"),
            ("conv_forward", "*Z++ = sum + b[c];", "*Z++ = sum + b[0];",
             "every filter adds the bias of the first"),
            ("distribute_value", "a[k] = dz / (n_H * n_W);", "a[k] = dz / n_H;", "divided by n_H"),
            ("pool_backward",
             "    memset(dA_prev, 0, sizeof(double) * m * n_H_prev * n_W_prev * n_C);\n", "",
             "without having been set to 0 first"),
            ("zero_pad", "h < n_H + pad; h++", "h <= n_H + pad; h++", "writes outside of its output"),
            ("create_mask_from_window", "double most = x[0];",
             "double most = x[0]; *(volatile int *)0 = 1;", "it crashed"),
        ):
            self.assertIn(old, source)
            source, expected[name] = source.replace(old, new), words
        code, out, _ = self.check_c(source)
        self.assertEqual(code, 1)
        found = self.verdicts(out)
        for name in textbook.FUNCTIONS:
            self.assertIn(expected.get(name, "right"), found[name])

    def test_what_does_not_compile(self):
        code, _, err = self.check_c("int x = ;\n")
        self.assertEqual(code, 1)
        self.assertIn("my.c: it does not compile:\n", err)
        self.assertIn("error", err)


# The tests of Python are not run a second time under the name of C.
for name in [n for n in dir(Learner) if n.startswith("test_")]:
    if name not in vars(LearnersC):
        setattr(LearnersC, name, None)


if __name__ == "__main__":
    unittest.main()
