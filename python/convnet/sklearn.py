"""A scikit-learn classifier of images. Needs scikit-learn, which `import convnet` does not."""
from __future__ import annotations

import importlib
from typing import Any, Mapping, Optional, Sequence, Union

import numpy as np

from ._arrays import Array
from .data import Dataset
from .model import Model
from .training import AnyCallback, EarlyStopping

# scikit-learn has no type hints.
_base: Any = importlib.import_module("sklearn.base")
_multiclass: Any = importlib.import_module("sklearn.utils.multiclass")
_validation: Any = importlib.import_module("sklearn.utils.validation")

_IMAGES = ("conv 16 3x3 same, relu, maxpool 2, conv 32 3x3 same, relu, adaptiveavgpool 4x4, "
           "dense 64, relu, dense classes")  # fmt: skip
_ROWS = "dense 64, relu, dense 64, relu, dense classes"


class ImageClassifier(_base.ClassifierMixin, _base.BaseEstimator):  # type: ignore[misc]
    """A network as an estimator: GridSearchCV, pipelines and cross_val_score take it.

    X is images (n, n_H, n_W, n_C) or (n, n_H, n_W), uint8 or floats; or rows (n, features), which
    `image_shape` = (n_H, n_W, n_C) makes images of, and which without it are n_features pixels of
    one row. y is one label of any type for each image.

    network is the text form or a name (docs/models.md), "auto" a small network for the shape. The
    other parameters are those of Model.fit; with patience above 0 the training ends after so many
    epochs without a better loss on validation_split of the images, and keeps the best. Attributes
    after fit: model_ (a Model), history_, classes_, n_features_in_."""

    def __init__(
        self, network: str = "auto", *, image_shape: Optional[Sequence[int]] = None,
        epochs: int = 30, batch_size: int = 64, learning_rate: float = 0.0,
        optimizer: Union[str, Mapping[str, Any]] = "adam",
        schedule: Union[str, Mapping[str, Any], None] = None, augment: str = "",
        class_weight: Any = None, validation_split: float = 0.0, patience: int = 0,
        callbacks: Sequence[AnyCallback] = (), threads: int = 0, random_state: Any = None,
        verbose: int = 0,
    ) -> None:  # fmt: skip
        self.network, self.image_shape, self.epochs = network, image_shape, epochs
        self.batch_size, self.learning_rate, self.optimizer = batch_size, learning_rate, optimizer
        self.schedule, self.augment, self.class_weight = schedule, augment, class_weight
        self.validation_split, self.patience, self.callbacks = validation_split, patience, callbacks
        self.threads, self.random_state, self.verbose = threads, random_state, verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.non_deterministic = False
        return tags

    def _images(self, X: Array) -> Array:
        """(n, n_H, n_W, n_C) of checked input."""
        if X.ndim > 2:
            return X
        shape = tuple(self.image_shape) if self.image_shape is not None else (1, X.shape[1], 1)
        if len(shape) != 3 or int(np.prod(shape)) != X.shape[1]:
            raise ValueError(f"image_shape is {shape}, but a row of X has {X.shape[1]} numbers")
        return X.reshape(len(X), *shape)

    @staticmethod
    def _kept(X: Array) -> Array:
        """uint8 stays, all else becomes float32."""
        if X.dtype == np.uint8:
            return X
        with np.errstate(over="ignore"):
            made = np.ascontiguousarray(X, np.float32)
        if not np.isfinite(made).all():
            raise ValueError("X has numbers too large for float32")
        return made

    def fit(self, X: Any, y: Any) -> ImageClassifier:
        """Trains a new network on the images X with the labels y."""
        X, y = _validation.validate_data(self, X, y, dtype="numeric", allow_nd=True)
        _multiclass.check_classification_targets(y)
        self.classes_, index = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class, {self.classes_[0]!r}: there is nothing to tell apart")
        images = self._images(self._kept(X))
        if images.ndim == 3:
            images = images[..., None]
        network = self.network
        if network == "auto":
            network = _IMAGES if min(images.shape[1:3]) >= 8 else _ROWS
        seed = int(_validation.check_random_state(self.random_state).randint(2**31 - 1))
        data = Dataset(images, index, len(self.classes_))
        self.model_ = Model(network, data.shape, len(self.classes_), seed)
        held = self.validation_split or (0.1 if self.patience else 0.0)
        stop = [EarlyStopping(patience=self.patience)] if self.patience else []
        self.history_ = self.model_.fit(
            data, batch_size=self.batch_size, epochs=self.epochs, callbacks=[*self.callbacks, *stop],
            verbose=self.verbose, validation_split=held, learning_rate=self.learning_rate,
            optimizer=self.optimizer, schedule=self.schedule, augment=self.augment,
            class_weight=self._weights(), seed=seed, threads=self.threads)  # fmt: skip
        return self

    def _weights(self) -> Any:
        """By class, in the order of classes_."""
        if not isinstance(self.class_weight, Mapping):
            return self.class_weight
        return [float(self.class_weight.get(one, 1.0)) for one in self.classes_]

    def predict_proba(self, X: Any) -> Array:
        """(n, classes), in the order of classes_."""
        _validation.check_is_fitted(self, "model_")
        X = _validation.validate_data(self, X, dtype="numeric", allow_nd=True, reset=False)
        found = self.model_.predict(self._images(self._kept(X)), self.batch_size,
                                    threads=self.threads)  # fmt: skip
        if found.shape[1] == 1:
            found = np.concatenate([1 - found, found], 1)
        return found

    def predict(self, X: Any) -> Array:
        """The likeliest label of each image, (n,)."""
        found = self.predict_proba(X)
        labels: Array = self.classes_[found.argmax(1)]
        return labels
