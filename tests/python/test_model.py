"""convnet.Model and what belongs to it: building, training, measuring, saving, showing."""
import compileall
import copy
import importlib.util
import io
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import numpy as np

import convnet
import convnet.html
from convnet import layers
from convnet.training import Bar

HERE = os.path.dirname(os.path.abspath(__file__))
SHARED, COMMAND = os.environ["CONVNET_SHARED"], os.environ["CONVNET_COMMAND"]
TEXT = "conv 4 3x3 same, relu, maxpool 2, dense classes"


def digits():
    return convnet.Dataset.load("digits"), convnet.Dataset.load("digits", "test")


def bytes_of(path):
    with open(path, "rb") as file:
        return file.read()


class Temporary(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)


class Building(Temporary):
    def test_calls_and_text_make_the_same_model(self):
        x = layers.input(8, 8, 1)
        y = layers.relu(layers.conv2d(x, filters=4, kernel=3, pad="same"))
        y = layers.dense(layers.max_pool(y, size=(2, 2)), units=10)
        calls = convnet.Model(layers.softmax(y), seed=3)
        text = convnet.Model(TEXT, shape=(8, 8, 1), classes=10, seed=3)
        for model, name in ((calls, "a"), (text, "b")):
            model.save(self.path(name))
        self.assertEqual(bytes_of(self.path("a")), bytes_of(self.path("b")))

    def test_sizes_that_an_onnx_file_leaves_open_are_given(self):
        def message(*fields):
            made = b""
            for number, value in fields:
                value = value.encode() if isinstance(value, str) else value
                if isinstance(value, int):
                    made += bytes([number << 3, value])
                else:
                    made += bytes([number << 3 | 2, len(value)]) + value
            return made

        def port(name, *sizes):
            dims = message(*((1, message((1 if isinstance(n, int) else 2, n))) for n in sizes))
            return message((1, name), (2, message((1, message((1, 1), (2, dims))))))

        relu = message((1, "x"), (2, "y"), (4, "Relu")), message((1, "v"), (2, "u"), (4, "Relu"))
        one = [(1, relu[0]), (11, port("x", "n", 3, "h", "w")), (12, port("y", "n"))]
        two = one + [(1, relu[1]), (11, port("v", "n", "k")), (12, port("u", "n"))]
        path = self.path("open.onnx")
        for graph in one, two:
            model = message((1, 9), (7, message(*graph)), (8, message((2, 18))))
            with open(path, "wb") as file:
                file.write(model)
            with self.assertRaisesRegex(convnet.ShapeError, r'axis 2 \("h"\) has no fixed size'):
                convnet.Model.load(path)
            if graph is one:
                for shape in (4, 5), (4, 5, 3), {"x": [4, 5]}:
                    self.assertEqual(convnet.Model.load(path, shape).input_shape, (4, 5, 3))
            else:
                found = convnet.Model.load(path, shape={"x": (4, 5), "v": 7})
                self.assertEqual(found.inputs, {"x": (4, 5, 3), "v": (7,)})
        for wrong in (4, 5, 2), {"z": (4, 5)}, (1, 2, 3, 4), (0, 5), {"x\0": (4, 5)}:
            with self.assertRaises(convnet.ArgumentError):
                convnet.Model.load(path, wrong)

    def test_a_name_says_the_format(self):
        model = convnet.Model(TEXT, shape=(8, 8, 1), classes=10, seed=3)
        x = np.linspace(0, 1, 128, dtype=np.float32).reshape(2, 8, 8, 1)
        for name in ("m.onnx", "m.npz", "m.safetensors"):
            model.save(self.path(name))
            again = convnet.Model.load(self.path(name))
            self.assertEqual(again.predict(x).tolist(), model.predict(x).tolist())
        self.assertEqual(bytes_of(self.path("m.npz"))[:2], b"PK")
        with self.assertRaises(convnet.Error):
            model.save(self.path("m.h5"))

    def test_several_inputs_and_outputs_have_names(self):
        def layer(type, name, inputs, **options):
            return {"type": type, "name": name, "inputs": inputs.split(), **options}

        graph = {
            "input": [1, 1, 8], "output": "all",
            "layers": [
                layer("slice", "a", "input", count=6), layer("reshape", "image", "a", size=[1, 2]),
                layer("slice", "b", "input", count=2, begin=6), layer("flatten", "row", "b"),
                layer("scale", "s", "row", factor=2), layer("flatten", "f", "image"),
                layer("concat", "all", "s f")],
            "inputs": [{"name": "left", "shape": [1, 2, 3]}, {"name": "right", "shape": [2]}],
            "outputs": [{"name": "twice", "shape": [2]}, {"name": "same", "shape": [1, 2, 3]}],
        }
        text = json.dumps({"format": 1, "graph": graph}).encode()
        np.savez(self.path("two.npz"), convnet=np.frombuffer(text, np.uint8))
        model = convnet.Model.load(self.path("two.npz"))
        self.assertEqual(model.inputs, {"left": (1, 2, 3), "right": (2,)})
        self.assertEqual(model.outputs, {"twice": (2,), "same": (1, 2, 3)})
        left, right = np.arange(18.0).reshape(3, 1, 2, 3), np.array([[1, 2], [3, 4], [5, 6]])
        model.save(self.path("two.onnx"))
        for one in model, convnet.Model.load(self.path("two.onnx")):
            found = one.run({"right": right, "left": left}, batch_size=2)
            self.assertEqual(list(found), ["twice", "same"])
            self.assertEqual(found["twice"].tolist(), (2 * right).tolist())
            self.assertEqual(found["same"].tolist(), left.tolist())
        alone = model.select_output("same").run({"left": left, "right": right})
        self.assertEqual({name: y.tolist() for name, y in alone.items()}, {"same": left.tolist()})
        with self.assertRaisesRegex(convnet.ArgumentError, "left .*right"):
            model.run({"left": left})
        with self.assertRaisesRegex(convnet.ShapeError, "right has shape"):
            model.run({"left": left, "right": left})
        with self.assertRaisesRegex(convnet.ArgumentError, r"2 inputs \(left, right\)"):
            model.predict(left)
        with self.assertRaisesRegex(convnet.UnsupportedError, "2 inputs"):
            model.fit(digits()[0], epochs=1, verbose=0)

    def test_branches(self):
        x = layers.input(6, 6, 2)
        a = layers.conv2d(x, filters=3, kernel=1)
        b = layers.conv2d(x, filters=3, kernel=(3, 3), pad="same", name="wide")
        joined = layers.concat([a + b, a])
        model = convnet.Model(layers.global_average_pool(joined))
        self.assertEqual(model.output_shape, (6,))
        self.assertIn("wide.weight", model.parameters())
        self.assertTrue(model.gradcheck(samples=8))

    def test_every_layer_of_the_header_is_a_function(self):
        x = layers.input(8, 8, 4)
        needed = {
            "conv2d": dict(filters=2, kernel=3), "depthwise_conv2d": dict(kernel=3),
            "conv_transpose2d": dict(filters=2, kernel=2, stride=2), "max_pool": dict(size=2),
            "average_pool": dict(size=2), "dense": dict(units=3), "dropout": dict(rate=0.5),
            "adaptive_average_pool": dict(size=2), "upsample2d": dict(factor=2),
            "group_norm": dict(groups=2), "zero_pad2d": dict(pads=[1, 2, 3, 4]),
            "crop2d": dict(pads=[1, 1, 1, 1]),
        }  # fmt: skip
        names = set(layers.__all__) - {"Node", "input", "concat"}
        self.assertLessEqual(set(needed), names)
        for name in sorted(names):
            function = getattr(layers, name)
            self.assertTrue(function.__doc__)
            y = function(x, x) if name == "add" else function(x, **needed.get(name, {}))
            convnet.Model(y)

    def test_errors_are_the_librarys(self):
        with self.assertRaisesRegex(convnet.Error, "conv2d"):
            convnet.Model(layers.conv2d(layers.input(4, 4, 1), filters=2, kernel=5))
        with self.assertRaisesRegex(convnet.ArgumentError, 'pad is "sme", expected valid, same'):
            convnet.Model(layers.conv2d(layers.input(4, 4, 1), filters=2, kernel=3, pad="sme"))
        with self.assertRaisesRegex(ValueError, "cnv"):
            convnet.Model("cnv 3 3x3", shape=(4, 4, 1), classes=2)
        with self.assertRaisesRegex(convnet.ArgumentError, "shape is None"):
            convnet.Model(TEXT)
        with self.assertRaises(OSError):
            convnet.Model.load(self.path("missing.safetensors"))
        with self.assertRaisesRegex(convnet.ArgumentError, "one input, not 2"):
            convnet.Model(layers.input(2, 2, 1) + layers.input(2, 2, 1))

    def test_parameters_are_views(self):
        model = convnet.Model(TEXT, shape=(8, 8, 1), classes=10)
        x = np.ones((1, 8, 8, 1), np.float32)
        before, own = model.predict(x, normalized=True), model.parameters()
        own["dense_1.weight"][...] = 0
        model.weights_changed()
        after = model.predict(x, normalized=True)
        self.assertFalse(np.array_equal(before, after))
        self.assertTrue(np.allclose(after, 0.1))
        with self.assertRaises(convnet.ShapeError):
            model.set_parameters({"dense_1.bias": np.zeros(3)})
        model.set_parameters({"dense_1.bias": np.arange(10)})
        del model
        self.assertEqual(own["dense_1.bias"][9], 9)  # the memory lives as long as the view


class Training(Temporary):
    def test_the_commands_bytes(self):
        train, _ = digits()
        train, held = train.hold_out(0.1)
        model = convnet.Model("digits", seed=4)
        model.fit(train, validation_data=held, epochs=2, seed=4, verbose=0)
        model.save(self.path("ours"))
        subprocess.run([COMMAND, "train", "--epochs", "2", "--seed", "4", "--quiet", "--out",
                        self.path("theirs")], check=True, stdout=subprocess.DEVNULL)
        self.assertEqual(bytes_of(self.path("ours")), bytes_of(self.path("theirs")))

    def test_shards_and_synchronized_batch_norms(self):
        train, _ = digits()
        text = "conv 4 3x3, batchnorm, relu, dense classes"
        for name, sync in (("together", True), ("apart", False)):
            model = convnet.Model(text, train.shape, classes=10)
            model.fit(train, shards=4, sync_batch_norm=sync, verbose=0)
            model.save(self.path(name))
        subprocess.run([COMMAND, "train", "--epochs", "1", "--shards", "4", "--sync-batch-norm",
                        "--validation-split", "0", "--model", text, "--quiet", "--out",
                        self.path("theirs")], check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        self.assertEqual(bytes_of(self.path("together")), bytes_of(self.path("theirs")))
        self.assertNotEqual(bytes_of(self.path("apart")), bytes_of(self.path("theirs")))

    def test_signs_in_25_lines(self):
        data = os.path.join(SHARED, "data", "signs")
        example = os.path.join(HERE, "..", "..", "examples", "signs.py")
        with open(example) as file:
            self.assertLessEqual(len(file.readlines()), 25)
        if not os.path.exists(data):
            self.skipTest("no " + data)
        try:
            convnet.Dataset.load("hdf5:" + data)
        except convnet.UnsupportedError as reason:
            self.skipTest(str(reason))
        subprocess.run([sys.executable, example, data, "2", self.path("ours")], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        subprocess.run([COMMAND, "train", "--data", "hdf5:" + data, "--model", "signs", "--epochs",
                        "2", "--seed", "1", "--quiet", "--out", self.path("theirs")], check=True,
                       stdout=subprocess.DEVNULL)
        self.assertEqual(bytes_of(self.path("ours")), bytes_of(self.path("theirs")))

    def test_arrays_and_what_history_holds(self):
        train, test = digits()
        model = convnet.Model(TEXT, shape=(8, 8, 1), classes=10, seed=1)
        seen = []
        history = model.fit(train.batch()[..., 0], np.eye(10)[train.labels], epochs=3, verbose=0,
                            validation_split=0.1, optimizer={"kind": "sgd", "momentum": 0.9},
                            schedule={"kind": "cosine", "warmup": 0.5}, augment="shift=1",
                            callbacks=[lambda p: seen.append(p.epoch)])
        self.assertEqual(seen, [1, 2, 3])
        self.assertEqual(history.epoch, [1, 2, 3])
        self.assertEqual(set(history.history), set(history.COLUMNS))
        self.assertLess(history.history["loss"][-1], history.history["loss"][0])
        self.assertEqual(len(history.rows()), 3)
        found = model.evaluate(test.batch(), test.labels)
        self.assertGreater(found.accuracy, 0.5)
        self.assertEqual(found.confusion.sum(), len(test))
        self.assertEqual(np.trace(found.confusion), found.correct)
        output = model.predict(test.batch())
        self.assertEqual((output.argmax(1) == test.labels).sum(), found.correct)
        self.assertEqual(model.predict_classes(test.batch()[:2]),
                         [str(i) for i in output[:2].argmax(1)])

    def test_masks_labels_and_numbers(self):
        random = np.random.default_rng(1)
        masks = np.zeros((16, 8, 8), np.uint8)
        masks[:, :, 4:] = 1
        x = (150 * masks + random.integers(0, 40, masks.shape)).astype(np.uint8)
        layers = "conv 4 3x3 same, batchnorm, relu, conv classes 1x1, softmax"
        model = convnet.Model(layers, shape=(8, 8, 1), classes=2, seed=1)
        self.assertEqual(model.task, "segmentation")
        model.fit(x, masks, epochs=30, batch_size=4, learning_rate=0.02, verbose=0)
        found = model.evaluate(x, masks)
        self.assertEqual(found.confusion.tolist(), [[512, 0], [0, 512]])
        self.assertEqual(found.means, {"mean_iou": 1.0, "mean_dice": 1.0})

        x = (x * random.uniform(0.2, 1, (16, 1, 1))).astype(np.uint8)
        numbers = (x.mean((1, 2))[:, None] * (1, -2) + 5).astype(np.float32)
        several = np.stack([numbers[:, 0] > numbers[:, 0].mean(), numbers[:, 0] > 40], 1)
        layers = "conv 4 3x3 same, relu, gap, dense classes"
        model = convnet.Model(layers, shape=(8, 8, 1), classes=2, task="regression", seed=1)
        model.fit(x, numbers, epochs=60, batch_size=4, learning_rate=0.02, verbose=0)
        error = ((model.predict(x) - numbers) ** 2).mean()
        found = model.evaluate(x, numbers).means
        self.assertAlmostEqual(found["mean_squared_error"], error, delta=1e-3 * error)
        self.assertGreater(found["mean_r_squared"], 0.9)
        model = convnet.Model(layers, shape=(8, 8, 1), classes=2, task="multi_label", seed=1)
        model.fit(x, several.astype(np.float32), epochs=60, batch_size=4, learning_rate=0.02, verbose=0)
        self.assertEqual(model.evaluate(x, several.astype(np.float32)).means["mean_average_precision"], 1.0)
        with self.assertRaisesRegex(convnet.FormatError, "expected 0 or 1"):
            model.fit(x, numbers, verbose=0)

    def test_without_validation_there_are_no_validation_figures(self):
        train, _ = digits()
        history = convnet.Model("digits").fit(train[:100], verbose=0)
        self.assertEqual(set(history.history), {"loss", "accuracy", "learning_rate"})

    def test_early_stopping_and_checkpoints(self):
        train, test = digits()
        model = convnet.Model("digits", seed=1)
        rate = {"learning_rate": 1e-9}
        stop = convnet.EarlyStopping("val_accuracy", patience=2)
        history = model.fit(train, validation_data=test, epochs=20, verbose=0, callbacks=[stop],
                            **rate)
        self.assertLess(len(history.epoch), 20)
        self.assertGreater(history.best_epoch, 0)
        self.assertFalse(history.interrupted)
        whole, part, rest = (convnet.Model("digits", seed=1) for _ in range(3))
        whole.fit(train, epochs=3, verbose=0, seed=5)
        file = self.path("run")
        part.fit(train, epochs=3, verbose=0, seed=5, callbacks=[
            convnet.ModelCheckpoint(file), lambda p: p.epoch == 1])
        rest.fit(train, epochs=3, verbose=0, seed=5, resume=file)
        for model, name in ((whole, "a"), (rest, "b")):
            model.save(self.path(name))
        self.assertEqual(bytes_of(self.path("a")), bytes_of(self.path("b")))
        with self.assertRaises(OSError):
            whole.fit(train, verbose=0, callbacks=[convnet.ModelCheckpoint("/no/such/folder/f")])
        with self.assertRaisesRegex(convnet.ArgumentError, "EarlyStopping goes with"):
            whole.fit(train, verbose=0, callbacks=[stop])

    def test_an_exception_in_a_callback_comes_out(self):
        train, _ = digits()

        class Broken(convnet.Callback):
            def on_step_end(self, progress):
                if progress.step == 3:
                    raise KeyError("mine")

        with self.assertRaisesRegex(KeyError, "mine"):
            convnet.Model("digits").fit(train, verbose=0, callbacks=[Broken()])

    def test_a_callback_stops_after_its_step(self):
        train, _ = digits()
        steps = []

        class Stop(convnet.Callback):
            def on_step_end(self, progress):
                steps.append(progress.step)
                if progress.step == 4:
                    self.stop()

        history = convnet.Model("digits").fit(train, epochs=5, verbose=0, callbacks=[Stop()])
        self.assertEqual(steps, [1, 2, 3, 4])
        self.assertTrue(history.interrupted)

    def test_ctrl_c_ends_within_a_step_and_keeps_the_model(self):
        train, _ = digits()
        model, steps = convnet.Model("digits", seed=1), []
        before = model.parameters()["dense_1.weight"].copy()

        class Press(convnet.Callback):
            def on_step_end(self, progress):
                steps.append(progress.step)
                if progress.step == 5:
                    os.kill(os.getpid(), signal.SIGINT)

        # A shell that began this in the background has interrupts ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        history = model.fit(train, epochs=50, verbose=0, callbacks=[Press()])
        self.assertTrue(history.interrupted)
        self.assertLessEqual(len(steps), 6)
        self.assertFalse(np.array_equal(before, model.parameters()["dense_1.weight"]))
        self.assertIs(signal.getsignal(signal.SIGINT), signal.default_int_handler)

    def test_a_loss_that_is_not_finite(self):
        train, _ = digits()
        with self.assertRaises(convnet.DivergedError):
            convnet.Model("digits").fit(train, optimizer="sgd", learning_rate=1e30, verbose=0)
        with self.assertRaisesRegex(convnet.FormatError, "is nan"):
            convnet.Dataset(np.full((8, 4, 4, 1), np.nan), np.zeros(8))

    def test_other_threads_run_meanwhile(self):
        model = convnet.Model("resnet20", classes=10)
        x = np.zeros((32, *model.input_shape), np.uint8)
        model.predict(x)
        count, running = [0], [True]

        def other():
            while running[0]:
                count[0] += 1
                time.sleep(0.0005)

        thread = threading.Thread(target=other)
        thread.start()
        during = 0  # of one call; on a busy machine the other thread may rarely have its turn
        for _ in range(1000):
            before = count[0]
            model.predict(x, threads=1)
            during = count[0] - before
            if during > 5:
                break
        running[0] = False
        thread.join()
        self.assertGreater(during, 5)

    def test_predictions_from_several_threads(self):
        _, test = digits()
        model = convnet.Model("digits", seed=1)
        expected, found = model.predict(test), [None] * 4

        def ask(i):
            found[i] = model.predict(test)

        threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in found:
            self.assertTrue(np.array_equal(one, expected))


class Data(unittest.TestCase):
    def test_arrays_come_back_as_they_went_in(self):
        x = np.random.RandomState(1).randint(0, 256, (5, 4, 3, 2), np.uint8)
        data = convnet.Dataset(x, [0, 2, 1, 1, 0])
        self.assertEqual((len(data), data.shape, data.classes), (5, (4, 3, 2), 3))
        self.assertTrue(np.array_equal(data.images, x))
        self.assertEqual(data.labels.tolist(), [0, 2, 1, 1, 0])
        self.assertFalse(data.images.flags.writeable)
        images = data[[3, 1]].images
        self.assertTrue(np.array_equal(images, x[[3, 1]]))
        self.assertTrue(np.allclose(data.batch(), x / 255))
        mean, std = data.statistics()
        self.assertTrue(np.allclose(mean, (x / 255).mean((0, 1, 2)), atol=1e-6))
        kept, held = data.hold_out(0.4)
        self.assertEqual((len(kept), len(held)), (3, 2))

    def test_images_that_are_not_in_memory_are_read(self):
        with tempfile.TemporaryDirectory() as folder:
            for i in range(6):
                os.makedirs(os.path.join(folder, str(i % 2)), exist_ok=True)
                with open(os.path.join(folder, str(i % 2), f"{i}.pgm"), "wb") as file:
                    file.write(b"P5 4 3 255\n" + bytes(range(i, i + 12)))
            whole = convnet.Dataset.load("folder:" + folder, "all")
            data = convnet.Dataset.load("folder:" + folder, "all", memory=1)
            with self.assertRaisesRegex(convnet.ArgumentError, "not in memory"):
                data.images
            self.assertTrue(np.array_equal(data[[4, 1]].batch(), whole[[4, 1]].batch()))
            for one, other in zip(data.statistics(), whole.statistics()):
                self.assertTrue(np.array_equal(one, other))
            os.remove(os.path.join(folder, "0", "2.pgm"))
            with self.assertRaisesRegex(convnet.Error, "2.pgm"):
                data.batch()

    def test_what_does_not_fit_is_said(self):
        x = np.zeros((3, 4, 4, 1), np.uint8)
        for y, words in (([0, 1], r"y has shape \(2,\), expected \(3,\)"),
                         ([0.5, 1, 2], r"the label 0\.5, expected whole numbers"),
                         ([0, 1, np.nan], "the label nan"), ([0, 1, 2**40], "the label 1099511627776"),
                         (["cat", "dog", "cat"], "return_inverse"),
                         (np.ones((3, 2)), "not a single 1"), ([0, -1, 2], "label")):
            with self.assertRaisesRegex(convnet.Error, words):
                convnet.Dataset(x, y)
        with self.assertRaisesRegex(convnet.ShapeError, "x has shape"):
            convnet.Dataset(x[0, 0], [0])
        with self.assertRaisesRegex(convnet.Error, "nosuch"):
            convnet.Dataset.load("nosuch:place")
        with self.assertRaisesRegex(convnet.ArgumentError, 'subset is "half"'):
            convnet.Dataset.load("digits", "half")


    def test_what_would_be_cut_or_lost_is_refused(self):
        x = np.zeros((2, 4, 4, 1), np.float32)
        for call in (lambda: convnet.Model.load("model\0.safetensors"),
                     lambda: convnet.Dataset.load("digits\0"),
                     lambda: convnet.Model("dense 2\0", (4, 4, 1)),
                     lambda: setattr(convnet.Model("digits"), "class_names", ["a\0b"] * 10)):
            with self.assertRaisesRegex(convnet.ArgumentError, "zero byte"):
                call()
        for seed in (-1, 2**64):
            with self.assertRaisesRegex(convnet.ArgumentError, f"seed is {seed}"):
                convnet.Model("digits", seed=seed)
        for name in ("epochs", "batch_size"):
            with self.assertRaisesRegex(convnet.ArgumentError, f"{name} is 0, expected 1 or more"):
                convnet.Model("digits").fit("digits", verbose=0, **{name: 0})
        with self.assertRaisesRegex(convnet.ArgumentError, "masked"):
            convnet.Dataset(np.ma.array(x, mask=x == 0), [0, 1])
        data = convnet.Dataset(np.ma.array(x), np.array([0, 1], object))
        self.assertEqual(data.classes, 2)
        self.assertIs(copy.deepcopy([data])[0], data)
        with self.assertRaisesRegex(TypeError, "Dataset cannot be pickled"):
            pickle.dumps(data)


class Showing(Temporary):
    def test_checkpoints_have_paths_of_any_kind(self):
        import pathlib

        for make in (os.fsencode, pathlib.Path):
            path = self.path(make.__name__)
            convnet.Model("digits").fit("digits", epochs=1, verbose=0,
                                        callbacks=[convnet.ModelCheckpoint(make(path))])
            self.assertTrue(os.path.exists(path))

    def test_files_and_pickles(self):
        _, test = digits()
        model = convnet.Model("digits", seed=1)
        model.normalization, model.class_names = (0.5, 0.25), list("abcdefghij")
        model.save(self.path("m"))
        for other in (convnet.Model.load(self.path("m")), pickle.loads(pickle.dumps(model))):
            self.assertEqual(other.class_names, model.class_names)
            self.assertTrue(np.array_equal(other.predict(test), model.predict(test)))

    def test_tables(self):
        model = convnet.Model("digits")
        out = io.StringIO()
        model.summary(out)
        self.assertIn("conv2d 16 3x3 same", out.getvalue())
        self.assertIn("38,282", out.getvalue().split("total")[1])
        plan = model.plan(32)
        self.assertGreater(plan.total, plan.parameters)
        self.assertIn("memory to train, batch 32", repr(plan))
        self.assertEqual(model.plan(1, training=False).gradients, 0)

    def test_html_has_no_script_and_escapes(self):
        train, test = digits()
        model = convnet.Model("digits")
        self.assertIn("&lt;b&gt;", convnet.html._table(["<b>"], [["<script>"]], 1, "<script>"))
        history = model.fit(train, validation_data=test, epochs=2, verbose=0)
        for thing in (model, history, model.plan(), model.gradcheck(samples=4)):
            page = thing._repr_html_()
            self.assertIn("</table>", page)
            self.assertNotIn("<script", page + convnet.html._table(["<b>"], [["<script>"]], 1, ""))
        self.assertIn("<svg", history._repr_html_())

    def test_bars(self):
        class Terminal(io.StringIO):
            def isatty(self):
                return True

        train, test = digits()
        screen, plain = Terminal(), io.StringIO()
        for stream in (screen, plain):
            bar = Bar(1, stream)
            for i in range(1, 4):
                bar.step(i, 3, lambda: f"{i} of 3")
            bar.line("done")
        self.assertIn("[========================] 3 of 3", screen.getvalue())
        self.assertTrue(screen.getvalue().endswith("\rdone\n"))
        self.assertEqual(plain.getvalue(), "done\n")
        before, sys.stderr = sys.stderr, Terminal()
        try:
            model = convnet.Model("digits")
            model.fit(train, epochs=1)
            model.predict(test, verbose=1)
            shown = sys.stderr.getvalue()
        finally:
            sys.stderr = before
        self.assertIn("epoch 1/1  loss ", shown)
        self.assertIn("359 of 359 images", shown)


class Package(unittest.TestCase):
    def test_what_the_first_column_of_all_says_is_there(self):
        for name in convnet.__all__:
            self.assertTrue(getattr(convnet, name).__doc__, name)

    @unittest.skipUnless(os.environ.get("CONVNET_TIMINGS"), "CONVNET_TIMINGS is not set")
    def test_import_takes_50_ms_beyond_numpy(self):
        """Processor time, which other work on the machine changes less than time on the clock."""
        with tempfile.TemporaryDirectory() as folder:  # compiled, as pip leaves it
            shutil.copytree(os.path.dirname(convnet.__file__), os.path.join(folder, "convnet"))
            compileall.compile_dir(folder, quiet=1)
            environment = {**os.environ, "PYTHONPATH": folder}
            times = {"import numpy": [], "import numpy, convnet": []}
            for _ in range(10):
                for code, found in times.items():
                    before = resource.getrusage(resource.RUSAGE_CHILDREN)
                    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
                    after = resource.getrusage(resource.RUSAGE_CHILDREN)
                    found.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        numpy_alone, both = (min(found) for found in times.values())
        print(f"import: {1e3 * (both - numpy_alone):.0f} ms beyond numpy's {1e3 * numpy_alone:.0f}")
        self.assertLess(both - numpy_alone, 0.05)

    @unittest.skipUnless(importlib.util.find_spec("mypy"), "no mypy")
    def test_hints_are_clean(self):
        # Away from site-packages, whose other modules mypy would take for ours.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        package = os.path.join(folder.name, "convnet")
        shutil.copytree(os.path.dirname(convnet.__file__), package)
        found = subprocess.run(
            [sys.executable, "-m", "mypy", "--strict", "--cache-dir", os.devnull, package],
            stdout=subprocess.PIPE, universal_newlines=True)
        self.assertEqual(found.returncode, 0, found.stdout)


if __name__ == "__main__":
    unittest.main()
