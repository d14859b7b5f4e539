"""A convolutional network as a classifier of scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from .._errors import HyperparameterError, NonFiniteError, ShapeError
from .._inputs import integer
from .._op import Array
from .._optimizer import Optimizer
from .._registry import load
from ..data import Standardiser
from ..training import Decay, Trainer
from . import _network

FLOATS = (np.float64, np.float32)
"""Element types that are kept; all others become float64."""
SCALINGS = ("auto", "feature", "all", None)


class CNNClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn is untyped
    """A convolutional network that classifies images.

    Examples are rows (n, features) with `image_shape`, or arrays (n, maps, *map). Without an `image_shape` rows are features that have
    no neighbours, and the network is dense unless one is given. Training minimises the cross-entropy of the softmax with the same
    trainer as everywhere in cnnframe, in the element type of the examples. There are no sample weights.

    Args:
        network: what is trained: None for a small network that fits the images; the name of a network of `cnnframe.networks`; a list of
            layers and activations, to which a dense layer of outputs and the loss are added; a function of a registry, the axes of
            the input such as "n 1 8 8", and the number of classes, which returns a `Graph`; or a `Graph`, with
            softmax_cross_entropy(targets="index") as its loss.
        image_shape: maps and spatial axes of an image, such as (1, 8, 8), where examples are rows.
        epochs: passes over the training examples.
        batch_size: examples in a mini-batch.
        rate: the learning rate in the first epoch.
        decay: what the rate is multiplied by after each epoch.
        momentum: how much of the step before is kept, if `optimizer` is None.
        optimizer: an `Optimizer` instead of "sgd" with momentum, such as registry.make("sgd", nesterov=True), or its registered name.
        standardise: "feature" and "all" bring examples to mean 0 and variance 1, each feature or all entries together, by the training
            examples; "auto" is "all" for images and "feature" for rows; None leaves them as they are.
        compiled: whether kernels may be compiled for the sizes of the network, if Numba is installed: it takes up to half a minute, once, and
            pays where the training is long.
        random_state: decides the first parameters, the order of the examples and what dropout drops.

    Attributes:
        classes_: the labels, sorted.
        graph_: the network, a `Graph`.
        parameters_: its parameters after training.
        history_: the epochs of the training, with their loss.
        n_iter_: the number of epochs.
        image_shape_: the shape of one example in the network.
        n_features_in_: the number of entries of an example.
        feature_names_in_: names of features, where examples are a data frame.

    Raises (fit):
        HyperparameterError: a parameter is out of its bounds.
        GraphError, ShapeError: the network does not go with the images or the number of classes.
        NonFiniteError: the training diverged; lower the rate.
    """

    def __init__(
        self,
        network: Any = None,
        *,
        image_shape: tuple[int, ...] | None = None,
        epochs: int = 30,
        batch_size: int = 32,
        rate: float = 0.05,
        decay: float = 1.0,
        momentum: float = 0.9,
        optimizer: Any = None,
        standardise: str | None = "auto",
        compiled: bool = False,
        random_state: Any = None,
    ) -> None:
        self.network = network
        self.image_shape = image_shape
        self.epochs = epochs
        self.batch_size = batch_size
        self.rate = rate
        self.decay = decay
        self.momentum = momentum
        self.optimizer = optimizer
        self.standardise = standardise
        self.compiled = compiled
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> CNNClassifier:
        """Train a network from new on examples X, (n, features) or (n, maps, *map), and labels y (n,)."""
        rows, shape = _rows(X)
        rows, y = validate_data(self, rows, y, dtype=FLOATS, order="C", multi_output=True)
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        self.image_shape_ = self._settled(shape, rows.shape[1])
        self.scaling_ = self._scaling(rows)
        registry = load()
        graph = _network.make(self.network, registry, self.image_shape_, len(self.classes_))
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        kernels = [kernel for kernel in registry.kernels if self.compiled or not kernel.compiles]
        # On one thread the same seed gives the same bits on machines with more or fewer processors.
        more = {"dtype": rows.dtype, "kernels": kernels, "threads": 1}
        trainer = Trainer(graph, self._rule(registry), Decay(self.rate, self.decay), self.batch_size, seed, **more)
        examples = {_network.input_of(graph): self._images(rows), _network.target_of(graph): labels.astype(np.int64)}
        history = trainer.fit(examples, epochs=integer(self.epochs, "CNNClassifier: epochs", 1))
        self.graph_, self.parameters_, self.history_, self.n_iter_ = graph, history.parameters, history.epochs, len(history.epochs)
        return self

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each example, by axes (n,)."""
        best = self._logits(X).argmax(axis=1)
        found: Array = self.classes_[best]
        return found

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class in the order of `classes_`, by axes (n, classes)."""
        logits = self._logits(X)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        found: Array = powers / powers.sum(axis=1, keepdims=True)
        return found

    def activations(self, X: Any, node: str) -> Array:
        """Return what a node of `graph_` computes, by axes (n, ...).

        Raises:
            UnknownNameError: the network has no such node.
        """
        images = self._ready(X)
        return _network.outputs(self.graph_, self.parameters_, images, node)

    def _logits(self, X: Any) -> Array:
        images = self._ready(X)
        return _network.outputs(self.graph_, self.parameters_, images, self.graph_.output)

    def _ready(self, X: Any) -> Array:
        """New examples as images in the element type of the parameters."""
        check_is_fitted(self, "parameters_")
        rows, shape = _rows(X)
        rows = validate_data(self, rows, dtype=FLOATS, order="C", reset=False)
        if shape is not None and shape != self.image_shape_:
            raise ShapeError(f"CNNClassifier: images must have axes (n, {', '.join(map(str, self.image_shape_))}), as those it was fitted to; got {shape}")
        return self._images(rows.astype(self.parameters_.dtype, copy=False))

    def _images(self, rows: Array) -> Array:
        images = rows.reshape(len(rows), *self.image_shape_)
        if self.scaling_ is None:
            return np.ascontiguousarray(images)
        scaled = (images - self.scaling_.mean) / self.scaling_.scale
        if not np.isfinite(scaled).all():
            raise NonFiniteError("CNNClassifier: examples are too large for their element type once they are standardised; bring them to a smaller scale")
        return np.ascontiguousarray(scaled, rows.dtype)

    def _settled(self, shape: tuple[int, ...] | None, features: int) -> tuple[int, ...]:
        """The shape of an image, from the parameter or from the examples."""
        if self.image_shape is None:
            return shape or (features,)
        try:
            wanted = tuple(integer(size, "CNNClassifier: image_shape", 1) for size in self.image_shape)
        except TypeError:
            raise HyperparameterError(f"CNNClassifier: image_shape must be a tuple such as (1, 8, 8); got {self.image_shape!r}") from None
        if (shape is not None and shape != wanted) or int(np.prod(wanted)) != features:
            raise ShapeError(f"CNNClassifier: image_shape {wanted} has {int(np.prod(wanted))} entries; examples have {shape or features}; set it to theirs")
        return wanted

    def _scaling(self, rows: Array) -> Standardiser | None:
        if self.standardise not in SCALINGS:
            raise HyperparameterError(f"CNNClassifier: standardise must be one of {', '.join(map(repr, SCALINGS))}; got {self.standardise!r}")
        if self.standardise is None:
            return None
        images = rows.reshape(len(rows), *self.image_shape_)
        per = ("feature" if images.ndim == 2 else "all") if self.standardise == "auto" else self.standardise
        axis = None if per == "all" else 0
        wide = images.astype(np.float64)
        deviation = np.asarray(wide.std(axis=axis))
        return Standardiser(np.asarray(wide.mean(axis=axis)), np.where(deviation > 0, deviation, 1.0))

    def _rule(self, registry: Any) -> Optimizer:
        if self.optimizer is None:
            rule: Optimizer = registry.make("sgd", momentum=self.momentum)
            return rule
        found: Optimizer = registry.make(self.optimizer) if isinstance(self.optimizer, str) else self.optimizer
        return found


def _rows(X: Any) -> tuple[Any, tuple[int, ...] | None]:
    """Examples with one row each, and the shape that they had if they were images."""
    shape = getattr(X, "shape", None)
    if shape is None and isinstance(X, (list, tuple)):
        try:
            X = np.asarray(X)
        except ValueError:
            return X, None
        shape = X.shape
    if shape is None or len(shape) < 3 or not len(X):
        return X, None
    return np.asarray(X).reshape(len(X), -1), tuple(int(size) for size in shape[1:])
