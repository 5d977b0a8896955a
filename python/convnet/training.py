"""What a training shows and obeys: callbacks, the history, the progress bar, Ctrl-C."""
from __future__ import annotations

import importlib
import math
import signal
import sys
import threading
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

from . import _interface as c
from ._library import ArgumentError, number, path_bytes


class Progress(NamedTuple):
    """How far a training is. Validation is NaN until an epoch ends, and without a set for it."""

    epoch_end: bool
    epoch: int  # counted from 1
    epochs: int
    step: int  # in this epoch
    steps: int
    loss: float  # mean over this epoch so far
    accuracy: float
    val_loss: float
    val_accuracy: float
    best_epoch: int  # 0: none yet
    learning_rate: float
    seconds: float
    images_per_second: float
    wait_seconds: float  # in this epoch, for the thread that makes batches

    @classmethod
    def of(cls, p: c.cn_progress) -> Progress:
        return cls(p.epoch_end, p.epoch, p.epochs, p.step, p.steps, p.train_loss,
                   p.train_accuracy, p.valid_loss, p.valid_accuracy, p.best_epoch,
                   p.learning_rate, p.seconds, p.images_per_second, p.wait_seconds)  # fmt: skip


class Callback:
    """What a training calls; override what you need. `stop()` ends it after the step at hand."""

    model: Any = None
    stopping = False

    def stop(self) -> None:
        self.stopping = True

    def configure(self, opts: c.cn_fit_opts) -> None:
        """Before the training: the options may be changed."""

    def on_train_begin(self) -> None: ...

    def on_step_end(self, progress: Progress) -> None: ...

    def on_epoch_end(self, progress: Progress) -> None: ...

    def on_train_end(self, history: History) -> None: ...


class _Function(Callback):
    """A function as a callback: called after each epoch; returning True stops."""

    def __init__(self, function: Callable[[Progress], Any]) -> None:
        self.function = function

    def on_epoch_end(self, progress: Progress) -> None:
        if self.function(progress) is True:
            self.stop()


class EarlyStopping(Callback):
    """Ends after `patience` epochs in a row that were not better, and keeps the best weights.
    Better: "val_loss" falls, or "val_accuracy" grows, by more than min_delta. Patience 0 trains to
    the end and keeps the best."""

    def __init__(
        self, monitor: str = "val_loss", patience: int = 5, min_delta: float = 0.0
    ) -> None:
        words = {"val_loss": "loss", "val_accuracy": "accuracy"}
        if monitor not in words:
            raise ArgumentError(f'monitor is "{monitor}", expected {" or ".join(words)}')
        self.monitor = number("cn_monitor", words[monitor], "monitor")
        self.patience, self.min_delta = patience, min_delta

    def configure(self, opts: c.cn_fit_opts) -> None:
        if not opts.valid:
            raise ArgumentError("EarlyStopping goes with validation_data or validation_split")
        opts.best.keep, opts.best.monitor = True, self.monitor
        opts.best.patience, opts.best.min_delta = self.patience, self.min_delta


class ModelCheckpoint(Callback):
    """Writes a file from which fit(resume=path) goes on as if it had never stopped: whenever so
    many epochs, steps or seconds have passed (default: each epoch), at the end, and when the
    training is interrupted. It is a model file, too."""

    def __init__(self, path: Any, epochs: int = 0, steps: int = 0, seconds: float = 0) -> None:
        self.path, self.epochs, self.steps, self.seconds = path, epochs, steps, seconds

    def configure(self, opts: c.cn_fit_opts) -> None:
        opts.checkpoint.path = path_bytes(self.path)
        opts.checkpoint.epochs, opts.checkpoint.steps = self.epochs, self.steps
        opts.checkpoint.seconds = self.seconds


AnyCallback = Union[Callback, Callable[[Progress], Any]]


def callbacks_of(given: Sequence[AnyCallback], model: Any) -> List[Callback]:
    made = [one if isinstance(one, Callback) else _Function(one) for one in given]
    for one in made:
        one.model, one.stopping = model, False
    return made


class History:
    """The figures of a training, an entry for each epoch: history.history["val_accuracy"][-1].

    `interrupted` tells whether Ctrl-C or a callback ended it; `best_epoch` is 0 without a
    validation set."""

    COLUMNS = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")

    def __init__(self) -> None:
        self.history: Dict[str, List[float]] = {name: [] for name in self.COLUMNS}
        self.epoch: List[int] = []
        self.interrupted = False
        self.best_epoch = 0
        self.seconds = 0.0

    def add(self, progress: Progress) -> None:
        self.epoch.append(progress.epoch)
        for name, values in self.history.items():
            values.append(getattr(progress, name))
        self.best_epoch, self.seconds = progress.best_epoch, progress.seconds

    def close(self) -> None:
        """Leaves out what was never measured."""
        self.history = {name: values for name, values in self.history.items()
                        if any(not math.isnan(v) for v in values)}  # fmt: skip

    def rows(self) -> List[Tuple[float, ...]]:
        """(epoch, ...) for each epoch, in the order of `history`."""
        return list(zip(self.epoch, *self.history.values()))

    def __repr__(self) -> str:
        last = ", ".join(f"{k} {v[-1]:.4g}" for k, v in self.history.items() if v)
        return f"<History of {len(self.epoch)} epochs{': ' if last else ''}{last}>"

    def _repr_html_(self) -> str:
        from .html import history

        return history(self)


# ---- the progress bar


def _notebook() -> Any:
    """IPython's display where a notebook shows what we print, else None."""
    modules = sys.modules.get("IPython")
    shell = modules.get_ipython() if modules else None
    if shell is None or shell.__class__.__name__ != "ZMQInteractiveShell":
        return None
    return importlib.import_module("IPython.display").display


class Bar:
    """A bar in a terminal or a notebook, a line for each epoch elsewhere. verbose 0: nothing, 1:
    a bar, 2: lines only."""

    WIDTH = 24

    def __init__(self, verbose: int, stream: Any = None) -> None:
        self.stream = stream or sys.stderr
        self.display: Any = _notebook() if verbose == 1 else None
        terminal = getattr(self.stream, "isatty", bool)
        self.live: bool = verbose == 1 and bool(self.display or terminal())
        self.lines = verbose > 0
        self.shown, self.last = 0, 0.0
        self.handle: Any = None
        self.kept: List[str] = []

    def step(self, done: int, total: int, words: Callable[[], str]) -> None:
        now = time.monotonic()
        if not self.live or (now - self.last < 0.1 and done < total):
            return
        self.last = now
        part = done / max(total, 1)
        if self.display:
            from .html import bar

            self._show(bar(part, words(), self.kept))
            return
        full = int(self.WIDTH * part)
        line = f"[{'=' * full}{' ' * (self.WIDTH - full)}] {words()}"
        self.stream.write("\r" + line.ljust(self.shown))
        self.stream.flush()
        self.shown = len(line)

    def _show(self, page: str) -> None:
        class Shown:
            def _repr_html_(self) -> str:
                return page

        if self.handle is None:
            self.handle = self.display(Shown(), display_id=True)
        else:
            self.handle.update(Shown())

    def line(self, words: str) -> None:
        """Takes the bar away and leaves a line."""
        self.clear()
        if not self.lines:
            return
        if self.display:
            from .html import bar

            self.kept.append(words)
            self._show(bar(1.0, "", self.kept))
            return
        self.stream.write(words + "\n")
        self.stream.flush()

    def clear(self) -> None:
        if self.shown:
            self.stream.write("\r" + " " * self.shown + "\r")
            self.stream.flush()
            self.shown = 0


def step_words(p: Progress) -> str:
    return (f"epoch {p.epoch}/{p.epochs}  {p.step}/{p.steps}  loss {p.loss:.4f}  "
            f"accuracy {p.accuracy:.4f}  {p.images_per_second:,.0f} images/s")  # fmt: skip


def epoch_words(p: Progress) -> str:
    words = f"epoch {p.epoch}/{p.epochs}  loss {p.loss:.4f}  accuracy {p.accuracy:.4f}"
    if not math.isnan(p.val_loss):
        words += f"  val_loss {p.val_loss:.4f}  val_accuracy {p.val_accuracy:.4f}"
    return f"{words}  {p.seconds:.1f} s"


# ---- what the library calls


class Interrupts:
    """While entered, Ctrl-C is remembered and no exception; a second one is an exception."""

    def __init__(self) -> None:
        self.seen = False
        self._before: Any = None

    def __enter__(self) -> Interrupts:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._before = signal.signal(signal.SIGINT, self._handle)
        return self

    def _handle(self, *_: Any) -> None:
        self.seen = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def __exit__(self, *_: Any) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)


class Conductor:
    """cn_fit's `progress`: history, bar, callbacks. An exception stops the training, is kept, and
    raised when cn_fit has returned: none can pass through the library."""

    def __init__(self, callbacks: List[Callback], bar: Bar, interrupts: Interrupts) -> None:
        self.callbacks, self.bar, self.interrupts = callbacks, bar, interrupts
        self.history = History()
        self.failure: Optional[BaseException] = None
        self.last: Optional[Progress] = None
        every = [one for one in callbacks if type(one).on_step_end is not Callback.on_step_end]
        self.steppers = every

    def __call__(self, given: Any, _: Any) -> bool:
        try:
            self._report(given[0])
        except BaseException as failure:
            self.failure = failure
            return True
        return self.interrupts.seen or any(one.stopping for one in self.callbacks)

    def _report(self, raw: c.cn_progress) -> None:
        if not raw.epoch_end and not self.steppers and not self.bar.live:
            return
        p = self.last = Progress.of(raw)
        if p.epoch_end:
            self.history.add(p)
            self.bar.line(epoch_words(p))
            for one in self.callbacks:
                one.on_epoch_end(p)
        else:
            self.bar.step(p.step, p.steps, lambda: step_words(p))
            for one in self.steppers:
                one.on_step_end(p)
