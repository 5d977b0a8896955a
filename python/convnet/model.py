"""convnet.Model: a network that is trained, measured, asked and saved."""
from __future__ import annotations

import ctypes
import sys
import threading
from ctypes import byref, c_int, c_void_p
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple, Union

import numpy as np

from . import _interface as c
from ._arrays import F32, Array, as_array, prepare, tensor, view
from ._library import ArgumentError, Error, ShapeError, StoppedError, call, exception, library
from ._library import number, path_bytes, seed_of, text, text_bytes, word_of
from .data import Dataset, Handle, Source, dataset_of, images_of
from .graph import Node, build, fill
from .training import AnyCallback, Bar, Conductor, History, Interrupts, callbacks_of

Options = Union[str, Mapping[str, Any], None]


def _sizes(shape: Any) -> Any:
    """What Model.load is given, as an array of cn_input_size."""
    given = shape if isinstance(shape, Mapping) else {} if shape is None else {None: shape}
    made = (c.cn_input_size * len(given))()
    for one, (name, size) in zip(made, given.items()):
        n = [size] if isinstance(size, int) else list(size)
        if not 1 <= len(n) <= 3 or min(n) < 1:
            raise ArgumentError(f"shape is {size}, expected (n_H, n_W), (n_H, n_W, n_C) or (n,)")
        one.name = None if name is None else text_bytes(name)
        one.shape[:] = [1, 1, *n] if len(n) == 1 else [*n, 0][:3]
    return made


class Layer(NamedTuple):
    """A layer of a model: shape is one example's output, axes n_H, n_W, n_C or n_C."""

    name: str
    type: str
    options: str
    inputs: Tuple[int, ...]
    shape: Tuple[int, ...]
    parameters: int
    buffers: int
    multiply_adds: int


class Metrics(NamedTuple):
    """What evaluate finds. confusion (classes, classes): row = label, column = prediction; `means` has
    the figures of other tasks than classification by their names in cn_metrics."""

    loss: float
    accuracy: float
    correct: int
    total: int
    seconds: float
    confusion: Array
    means: Dict[str, float]


class GradcheckRow(NamedTuple):
    """Relative errors of a tensor's gradient: of plain loops in double precision against
    differences of the loss, and of the engine in float32 against those loops."""

    name: str
    checked: int
    twin_error: float
    engine_error: float

    @property
    def ok(self) -> bool:
        return self.twin_error <= 1e-4 and self.engine_error <= 1e-2


class Gradcheck(List[GradcheckRow]):
    """One row for each parameter and one for the input; true where all gradients are right."""

    @property
    def ok(self) -> bool:
        return all(row.ok for row in self)

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        lines = [f"{'gradient of':20}  {'checked':>7}  {'double':>10}  {'float32':>10}"]
        lines += [f"{r.name:20}  {r.checked:7}  {r.twin_error:10.1e}  {r.engine_error:10.1e}  "
                  f"{'ok' if r.ok else 'WRONG'}" for r in self]  # fmt: skip
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        from .html import gradcheck

        return gradcheck(self)


class Plan(NamedTuple):
    """Bytes that a session takes, found without creating it."""

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    workspace: int
    total: int
    batch: int
    training: bool

    def __repr__(self) -> str:
        what = "to train" if self.training else "to run"
        rows = [f"{name:12} {size_text(getattr(self, name)):>10}" for name in self._fields[:6]]
        return "\n".join([f"memory {what}, batch {self.batch}"] + rows)

    def _repr_html_(self) -> str:
        from .html import plan

        return plan(self)


def size_text(n: float) -> str:
    """ "1.2 MiB": bytes for people."""
    for unit in ("bytes", "KiB", "MiB"):
        if n < 1024:
            return f"{n:.0f} {unit}" if unit == "bytes" else f"{n:.1f} {unit}"
        n /= 1024
    return f"{n:.1f} GiB"


def zoo() -> Dict[str, str]:
    """The networks that have a name, and a line on each."""
    found: Dict[str, str] = {}
    while True:
        network = library.cn_zoo_at(len(found))
        if not network:
            return found
        found[text(network[0].name)] = text(network[0].text)


def _natural(name: str) -> Tuple[Optional[Tuple[int, int, int]], int]:
    """The shape and the classes that a network of the zoo was made for."""
    for i in range(len(zoo())):
        network = library.cn_zoo_at(i)[0]
        if text(network.name) == name:
            return tuple(network.shape), network.classes
    return None, 0


def _options(given: Options) -> Optional[Dict[str, Any]]:
    """ "adam" and {"kind": "adam"} are the same."""
    return {"kind": given} if isinstance(given, str) else dict(given) if given else None


class Model:
    """A network with its weights.

    Model("conv 8 3x3 same, relu, maxpool 2, dense classes", shape=(28, 28, 1), classes=10) reads
    the text form (docs/models.md); Model("lenet5") is a network that has a name (`zoo()` lists
    them); Model(node) is what `convnet.layers` built. The weights are drawn from the seed. A text ends
    as the task wants: "classification", "segmentation", "multi_label" or "regression"."""

    def __init__(
        self, network: Union[str, Node], shape: Optional[Sequence[int]] = None, classes: int = 0,
        seed: int = 0, task: str = "classification",
    ) -> None:  # fmt: skip
        self._new(Handle(library.cn_model_free))
        if isinstance(network, Node):
            if shape is not None or classes:
                raise ArgumentError("shape and classes belong to the nodes of a model of nodes")
            build(network, seed_of(seed), self._handle.pointer)
            return
        natural, known = _natural(network)
        sizes = tuple(shape) if shape is not None else natural
        if sizes is None or len(sizes) != 3:
            raise ArgumentError(f"shape is {shape}, expected (n_H, n_W, n_C)")
        call(library.cn_model_parse_task, byref(self._handle.pointer), text_bytes(network),
             (c_int * 3)(*sizes), classes or known, number("cn_task_kind", task, "task"), seed_of(seed))  # fmt: skip

    def _new(self, handle: Handle) -> None:
        self._handle = handle
        self._sessions: Dict[Tuple[Any, ...], Handle] = {}
        self._lock = threading.Lock()

    @classmethod
    def _of(cls, handle: Handle) -> Model:
        made = cls.__new__(cls)
        made._new(handle)
        return made

    # ---- files

    @classmethod
    def load(cls, path: Any, shape: Any = None) -> Model:
        """A model file of any format that the library reads. An ONNX file may leave the sizes of its
        inputs open: shape is (n_H, n_W) or (n_H, n_W, n_C), of a vector (n,), or a dict of them by
        the names of the inputs. ShapeError where it is missing."""
        handle = Handle(library.cn_model_free)
        sizes = _sizes(shape)
        call(library.cn_model_load_sized, byref(handle.pointer), path_bytes(path), sizes, len(sizes))
        return cls._of(handle)

    def save(self, path: Any) -> None:
        """Weights, graph, class names and normalization, in one file; a reader sees the old file
        or the new one. Names that end in .onnx, .npz or .keras get these formats."""
        name = path_bytes(path)
        if name.endswith((b".onnx", b".npz", b".h5", b".keras")):
            call(library.cn_model_export, self._handle.pointer, name, None)
        else:
            call(library.cn_model_save, self._handle.pointer, name)

    def __getstate__(self) -> bytes:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            self.save(folder + "/model.safetensors")
            with open(folder + "/model.safetensors", "rb") as file:
                return file.read()

    def __setstate__(self, state: bytes) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            with open(folder + "/model.safetensors", "wb") as file:
                file.write(state)
            self._new(type(self).load(folder + "/model.safetensors")._handle)

    # ---- what it is

    @property
    def layers(self) -> List[Layer]:
        found: List[Layer] = []
        info = c.cn_layer_info()
        while library.cn_model_layer(self._handle.pointer, len(found), byref(info)):
            found.append(Layer(text(info.name), text(info.type), text(info.options),
                               tuple(info.inputs[: info.input_count]),
                               tuple(info.shape[: info.rank]), info.parameters, info.buffers,
                               info.multiply_adds))  # fmt: skip
        return found

    @property
    def input_shape(self) -> Tuple[int, int, int]:
        n = library.cn_model_input_shape(self._handle.pointer)
        return n[0], n[1], n[2]

    @property
    def output_shape(self) -> Tuple[int, ...]:
        """Of one example: (classes,), or (n_H, n_W, classes)."""
        rank = c_int()
        n = library.cn_model_output_shape(self._handle.pointer, byref(rank))
        return tuple(n[: rank.value])

    def _ports(self, function: Any) -> Dict[str, Tuple[int, Tuple[int, ...]]]:
        """The offset and the shape of each input or output by its name."""
        found: Dict[str, Tuple[int, Tuple[int, ...]]] = {}
        port = c.cn_port()
        while function(self._handle.pointer, len(found), byref(port)):
            found[text(port.name)] = port.offset, tuple(port.shape[: port.rank])
        return found

    @property
    def inputs(self) -> Dict[str, Tuple[int, ...]]:
        """The shape of each input by its name: (n_H, n_W, n_C) or (n,). A network from an ONNX file
        may have several."""
        return {name: shape for name, (_, shape) in self._ports(library.cn_model_input).items()}

    @property
    def outputs(self) -> Dict[str, Tuple[int, ...]]:
        """The shape of each output by its name."""
        return {name: shape for name, (_, shape) in self._ports(library.cn_model_output).items()}

    def select_output(self, name: str) -> Model:
        """A new model that makes this output alone, of the layers that it depends on."""
        made = Handle(library.cn_model_free)
        call(library.cn_model_select_output, byref(made.pointer), self._handle.pointer,
             text_bytes(name))  # fmt: skip
        return self._of(made)

    @property
    def task(self) -> str:
        """What is asked about an image: "classification", "segmentation", "multi_label", "regression"."""
        return word_of("cn_task_kind", int(library.cn_model_task(self._handle.pointer)))

    @property
    def class_names(self) -> List[str]:
        """Empty where none were set."""
        at = self._handle.pointer
        return [text(library.cn_model_class_name(at, i))
                for i in range(library.cn_model_class_count(at))]  # fmt: skip

    @class_names.setter
    def class_names(self, names: Sequence[str]) -> None:
        given = (ctypes.c_char_p * len(names))(*[text_bytes(name) for name in names])
        call(library.cn_model_set_classes, self._handle.pointer, len(names), given)

    @property
    def normalization(self) -> Optional[Tuple[Array, Array]]:
        """Mean and standard deviation of each channel, (n_C,); None where none were set."""
        at, n = self._handle.pointer, self.input_shape[2]
        mean, std = library.cn_model_mean(at), library.cn_model_std(at)
        return (np.array(mean[:n], F32), np.array(std[:n], F32)) if mean else None

    @normalization.setter
    def normalization(self, given: Tuple[Any, Any]) -> None:
        n = self.input_shape[2]
        mean, std = ((ctypes.c_float * n)(*np.broadcast_to(v, (n,))) for v in given)
        call(library.cn_model_set_normalization, self._handle.pointer, mean, std)

    def _parameters(self) -> Iterator[c.cn_parameter]:
        i, p = 0, c.cn_parameter()
        while library.cn_model_parameter(self._handle.pointer, i, byref(p)):
            yield p
            i += 1

    def parameters(self, buffers: bool = True) -> Dict[str, Array]:
        """Weights by name, "conv2d_1.weight" (f_H, f_W, n_C_prev, n_C), as views that may be
        written to: call weights_changed() after that. `buffers` are what is gathered and not
        trained, such as running means."""
        return {text(p.name): view(p.value, self._handle, writable=True)
                for p in self._parameters() if buffers or not p.buffer}  # fmt: skip

    def weights_changed(self) -> None:
        library.cn_model_weights_changed(self._handle.pointer)

    def set_parameters(self, values: Mapping[str, Any]) -> None:
        """Copies arrays into the parameters of these names."""
        own = self.parameters()
        for name, value in values.items():
            if name not in own:
                raise ArgumentError(f'no parameter "{name}", expected {", ".join(own)}')
            if np.shape(value) != own[name].shape:
                raise ShapeError(
                    f"{name} has shape {np.shape(value)}, expected {own[name].shape}")
        for name, value in values.items():
            own[name][...] = value
        self.weights_changed()

    @property
    def parameter_count(self) -> int:
        return int(library.cn_model_parameter_elements(self._handle.pointer))

    def freeze(self, pattern: str, frozen: bool = True) -> None:
        """Parameters whose names match ("conv2d_*") are left as they are by the next fit."""
        call(library.cn_model_freeze, self._handle.pointer, text_bytes(pattern), frozen)

    def adapt(self, shape: Optional[Sequence[int]] = None, classes: int = 0, seed: int = 0) -> Model:
        """The same network for images of another shape or for other classes, with the weights
        that fit: transfer learning."""
        sizes = (c_int * 3)(*(shape or self.input_shape))
        made = Handle(library.cn_model_free)
        call(library.cn_model_adapt, byref(made.pointer), self._handle.pointer, sizes,
             classes or int(library.cn_model_output_size(self._handle.pointer)), seed_of(seed))  # fmt: skip
        return self._of(made)

    # ---- training

    def fit(
        self, x: Any, y: Any = None, batch_size: Optional[int] = None, epochs: int = 1,
        validation_data: Optional[Source] = None, callbacks: Sequence[AnyCallback] = (),
        verbose: int = 1, *, validation_split: float = 0.0, learning_rate: float = 0.0,
        optimizer: Options = "adam", schedule: Options = None, loss: Options = None,
        average: Options = None, augment: str = "", class_weight: Any = None, seed: int = 0,
        shuffle: bool = True, accumulate: int = 1, shards: int = 0, sync_batch_norm: bool = False,
        precision: str = "f32", threads: int = 0,
        backend: Optional[str] = None, normalize: bool = True, resume: Optional[str] = None,
    ) -> History:  # fmt: skip
        """Trains on images x (n, n_H, n_W, n_C) or (n, n_H, n_W), uint8 or floats, with labels y
        (n,) or (n, classes), by the model's task masks or numbers as Dataset takes them; or on a Dataset, or a spec such as "mnist:DIR".

        optimizer, schedule, loss and average are a word ("sgd") or options
        ({"kind": "sgd", "momentum": 0.9}) of cn_optimizer, cn_schedule, cn_loss_opts and
        cn_average; augment is the words of `convnet train --augment`. Batches are of 64 images,
        or of 4 with masks, unless batch_size says otherwise. A learning rate of 0 is the
        optimizer's default. The first fit takes normalization (unless normalize is False) and class
        names over from the data. The same seed gives the same bits, with any number of threads,
        and those of the command.

        Ctrl-C ends it after the step at hand; the model is as that step left it, and the history's
        `interrupted` is True. An exception in a callback ends it likewise, and is raised."""
        for name, count in (("batch_size", batch_size), ("epochs", epochs)):
            if count is not None and count < 1:  # in cn_fit_opts 0 is the default
                raise ArgumentError(f"{name} is {count}, expected 1 or more")
        outputs = int(library.cn_model_output_size(self._handle.pointer))
        known = 2 if outputs == 1 else outputs
        known = self.output_shape[2] if len(self.output_shape) > 1 else known
        train = dataset_of(x, y, classes=known, task=self.task)
        if validation_split:
            if validation_data is not None:
                raise ArgumentError("validation_split goes without validation_data")
            train, held = train.hold_out(validation_split)
            valid: Optional[Dataset] = held
        else:
            valid = self._set_of(validation_data, train.classes)
        self._learn_from(train, normalize)
        train = self._matched(train)
        valid = self._matched(valid) if valid is not None else None
        opts = c.cn_fit_opts(
            epochs=epochs, batch=batch_size or 0, accumulate=accumulate, threads=threads, seed=seed_of(seed),
            shards=shards, sync_batch_norm=sync_batch_norm, no_shuffle=not shuffle, precision=number("cn_precision", precision, "precision"),
            learning_rate=learning_rate, backend=text_bytes(backend) if backend else None,
            resume=path_bytes(resume) if resume else None,
            valid=None if valid is None else valid._handle.pointer)  # fmt: skip
        opts.optimizer = fill(c.cn_optimizer, _options(optimizer))
        opts.schedule = fill(c.cn_schedule, _options(schedule))
        opts.average = fill(c.cn_average, _options(average))
        opts.loss = fill(c.cn_loss_opts, _options(loss))
        if class_weight is not None:
            opts.loss.class_weights = _class_weights(class_weight, train)
        if augment:
            call(library.cn_augment_parse, byref(opts.augment), text_bytes(augment))
        return self._run(train, opts, callbacks_of(callbacks, self), Bar(verbose))

    def _run(self, train: Dataset, opts: Any, callbacks: List[Any], bar: Bar) -> History:
        for one in callbacks:
            one.configure(opts)
        with Interrupts() as interrupts:
            conductor = Conductor(callbacks, bar, interrupts)
            opts.progress = type(opts.progress)(conductor)
            failed: List[Error] = []
            if opts.checkpoint.path:
                # The error's memory is the library's: it is copied here, and raised at the end.
                opts.checkpoint.written = type(opts.checkpoint.written)(
                    lambda error, _: failed.append(exception(error[0])) if error[0].status
                    else failed.clear())  # fmt: skip
            for one in callbacks:
                one.on_train_begin()
            last, stopped = c.cn_progress(), False
            try:
                call(library.cn_fit, self._handle.pointer, train._handle.pointer, byref(opts),
                     byref(last))  # fmt: skip
            except StoppedError:
                stopped = True
            finally:
                bar.clear()
        history = conductor.history
        history.interrupted = stopped
        history.close()
        if conductor.failure is not None:
            raise conductor.failure
        if failed:
            raise failed[0]
        if interrupts.seen:
            bar.line(f"stopped in epoch {last.epoch} of {last.epochs}, after step {last.step} of "
                     f"{last.steps}; the model is as that step left it")  # fmt: skip
        for one in callbacks:
            one.on_train_end(history)
        return history

    def _set_of(self, given: Optional[Source], classes: int) -> Optional[Dataset]:
        if given is None:
            return None
        if isinstance(given, (tuple, list)):
            return dataset_of(given[0], given[1], classes=classes, task=self.task)
        return dataset_of(given, subset="validation")

    def _learn_from(self, train: Dataset, normalize: bool) -> None:
        if normalize and self.normalization is None:
            self.normalization = train.statistics()
        if not self.class_names:
            self.class_names = train.class_names

    def _matched(self, data: Dataset) -> Dataset:
        """The set with its classes in the model's order, by name."""
        own = self.class_names
        if not own or data.class_names == own[: data.classes]:
            return data
        made = data.select(slice(None))
        call(library.cn_dataset_match_classes, made._handle.pointer, self._handle.pointer)
        return made

    # ---- using

    def evaluate(
        self, x: Any, y: Any = None, batch_size: int = 64, *, tta: str = "none", threads: int = 0,
        precision: str = "f32", backend: Optional[str] = None,
    ) -> Metrics:  # fmt: skip
        """Loss, accuracy and confusion matrix on images and labels as in fit; tta is "none",
        "mirror" or "shift", the average over views of each image."""
        data = self._matched(dataset_of(x, y, "test_or_all", task=self.task))
        n = data.classes
        found, confusion = c.cn_metrics(), np.zeros((n, n), np.int64)
        opts = c.cn_evaluate_opts(
            threads=threads, batch=batch_size, tta=number("cn_tta", tta, "tta"),
            precision=number("cn_precision", precision, "precision"),
            backend=text_bytes(backend) if backend else None)  # fmt: skip
        call(library.cn_evaluate, self._handle.pointer, data._handle.pointer, byref(opts),
             byref(found), confusion.ctypes.data_as(ctypes.POINTER(ctypes.c_int64)))  # fmt: skip
        means = {name: getattr(found, name) for name, *_ in found._fields_ if name.startswith("mean_")}
        return Metrics(found.loss, found.accuracy, found.correct, found.count, found.seconds, confusion,
                       {name: mean for name, mean in means.items() if mean == mean})  # fmt: skip

    def _session(self, key: Tuple[Any, ...]) -> Handle:
        if key not in self._sessions:
            batch, threads, precision, backend = key
            opts = c.cn_session_opts(
                batch=batch, threads=threads, backend=backend,
                precision=number("cn_precision", precision, "precision"))  # fmt: skip
            handle = Handle(library.cn_session_free)
            handle.model = self._handle  # type: ignore[attr-defined]  # outlives its sessions
            call(library.cn_session_create, byref(handle.pointer), self._handle.pointer,
                 byref(opts))  # fmt: skip
            self._sessions = {key: handle}
        return self._sessions[key]

    def predict(
        self, x: Any, batch_size: int = 64, verbose: int = 0, *, normalized: bool = False,
        threads: int = 0, precision: str = "f32", backend: Optional[str] = None,
    ) -> Array:  # fmt: skip
        """The output for each image, (m, classes) or (m, n_H, n_W, classes) float32; numbers in
        their units. x is
        (m, n_H, n_W, n_C) or (m, n_H, n_W), uint8 or floats in the range that the model learned
        from, or a Dataset; floats that are normalized already are taken as they lie with
        normalized=True. verbose=1 shows a bar."""
        for kind, ports in ("inputs", self.inputs), ("outputs", self.outputs):
            if len(ports) > 1:
                raise ArgumentError(f"predict: {len(ports)} {kind} ({', '.join(ports)}), expected one; "
                                    "run() takes and gives them by name")  # fmt: skip
        return self._predict(x, batch_size, verbose, normalized, threads, precision, backend)

    def _predict(
        self, x: Any, batch_size: int, verbose: int, normalized: bool, threads: int, precision: str,
        backend: Optional[str],
    ) -> Array:  # fmt: skip
        data = x if isinstance(x, Dataset) else None
        if data is None:
            x = images_of(x)
            if x.dtype != np.uint8 and not normalized and self.normalization is not None and len(x):
                data = Dataset(x, np.zeros(len(x), np.int32))
        m = len(x)
        out = np.empty((m, *self.output_shape), F32)
        bar = Bar(verbose)
        with self._lock:
            session = self._session((min(batch_size, max(m, 1)), threads, precision,
                                     text_bytes(backend) if backend else None)).pointer  # fmt: skip
            step = batch_size if bar.live or m <= batch_size else 16 * batch_size
            for begin in range(0, m, step):
                end = min(begin + step, m)
                some = x[begin:end] if data is None else data.batch(
                    range(begin, end), self.normalization)  # fmt: skip
                made = tensor(out[begin:end].reshape(end - begin, -1), "Y")
                call(library.cn_session_predict, session, byref(tensor(some, "x")), byref(made))
                bar.step(end, m, lambda: f"{end:,} of {m:,} images")
        library.cn_model_restore_targets(
            self._handle.pointer, m, out.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
        bar.clear()
        return out

    __call__ = predict

    def run(
        self, inputs: Mapping[str, Any], batch_size: int = 64, *, threads: int = 0,
        precision: str = "f32", backend: Optional[str] = None,
    ) -> Dict[str, Array]:  # fmt: skip
        """Every output by its name, (m, ...) float32, for an array (m, ...) of each input: plain
        numbers, as `convnet run` computes them, nothing normalized."""
        ports = self._ports(library.cn_model_input)
        if set(inputs) != set(ports):
            raise ArgumentError(f"inputs are {', '.join(inputs) or 'none'}, expected "
                                f"{', '.join(f'{name} {shape}' for name, shape in self.inputs.items())}")  # fmt: skip
        arrays = {name: as_array(value, name) for name, value in inputs.items()}
        m = len(arrays[next(iter(ports))]) if arrays[next(iter(ports))].ndim else 0
        x = np.empty((m, *self.input_shape), F32)
        for name, (at, shape) in ports.items():
            if arrays[name].shape != (m, *shape):
                raise ShapeError(f"{name} has shape {arrays[name].shape}, expected {(m, *shape)}")
            n = int(np.prod(shape))
            x.reshape(m, -1)[:, at : at + n] = arrays[name].reshape(m, n)
        made = self._predict(x, batch_size, 0, True, threads, precision, backend).reshape(m, -1)
        return {name: made[:, at : at + int(np.prod(shape))].reshape(m, *shape)
                for name, (at, shape) in self._ports(library.cn_model_output).items()}  # fmt: skip

    def predict_classes(self, x: Any, **options: Any) -> List[str]:
        """The name of the likeliest class of each image."""
        found = self.predict(x, **options)
        if found.ndim != 2:
            raise ShapeError(f"the output of an image has shape {found.shape[1:]}, not (classes,)")
        index = (found[:, 0] > 0.5).astype(int) if found.shape[1] == 1 else found.argmax(1)
        names = self.class_names
        return [names[i] if i < len(names) else str(i) for i in index]

    # ---- tools

    def gradcheck(
        self, batch: int = 2, samples: int = 64, seed: int = 0, loss: str = "default"
    ) -> Gradcheck:
        """Each gradient three ways: differences of the loss, plain loops in double precision, the
        engine."""
        rows = Gradcheck()

        def row(given: Any, _: Any) -> None:
            r = given[0]
            rows.append(GradcheckRow(text(r.name), r.checked, r.twin_error, r.engine_error))

        opts = c.cn_gradcheck_opts(batch=batch, samples=samples, seed=seed_of(seed),
                                   loss=number("cn_loss_kind", loss, "loss"))  # fmt: skip
        opts.row = type(opts.row)(row)
        call(library.cn_gradcheck, self._handle.pointer, byref(opts), None)
        return rows

    def plan(self, batch_size: int = 64, training: bool = True, threads: int = 0) -> Plan:
        """The memory that it takes to train, or to run, batches of this size."""
        opts = c.cn_session_opts(
            batch=batch_size, training=training, threads=threads, repack=training
        )
        m = c.cn_memory()
        call(library.cn_session_memory, self._handle.pointer, byref(opts), byref(m))
        return Plan(m.parameters, m.gradients, m.optimizer, m.activations, m.workspace, m.total,
                    batch_size, training)  # fmt: skip

    def summary(self, file: Any = None) -> None:
        """Prints the layers, their shapes, parameters and multiply-adds."""
        print(self._table(), file=file or sys.stdout)

    def _table(self) -> str:
        rows = [("layer", "what", "output", "parameters", "multiply-adds")]
        layers = self.layers
        for one in layers:
            rows.append((one.name, f"{one.type} {one.options}".strip(),
                         " x ".join(map(str, one.shape)), f"{one.parameters:,}",
                         f"{one.multiply_adds:,}"))  # fmt: skip
        rows.append(("total", "", "", f"{sum(one.parameters for one in layers):,}",
                     f"{sum(one.multiply_adds for one in layers):,}"))  # fmt: skip
        width = [max(len(row[i]) for row in rows) for i in range(5)]
        return "\n".join(
            "  ".join(cell.rjust(width[i]) if i > 2 else cell.ljust(width[i])
                      for i, cell in enumerate(row)).rstrip() for row in rows)  # fmt: skip

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.input_shape))
        return f"<Model of {len(self.layers)} layers, {shape}, {self.parameter_count:,} parameters>"

    def _repr_html_(self) -> str:
        from .html import model

        return model(self)


def _class_weights(given: Any, train: Dataset) -> Any:
    """ "balanced", a dict by class, or a number for each class."""
    n = train.classes
    made = (ctypes.c_float * n)(*[1.0] * n)
    if isinstance(given, str):
        if given != "balanced":
            raise ArgumentError(f'class_weight is "{given}", expected "balanced" or numbers')
        library.cn_dataset_class_weights(train._handle.pointer, made)
    elif isinstance(given, Mapping):
        for i, weight in given.items():
            made[i] = weight
    else:
        made[:] = [float(v) for v in prepare(as_array(given, "class_weight"), "class_weight")]
    return made
