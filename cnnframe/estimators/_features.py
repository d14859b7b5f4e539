"""What a trained network sees, as features for other estimators (Huang and LeCun 2006)."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from .._errors import GraphError, HyperparameterError
from .._op import Array
from .._wiring import key
from ._classifier import CNNClassifier


class CNNFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc] # scikit-learn is untyped
    """The activations of one node of a network, flattened: convolutional features for another estimator.

    Args:
        classifier: a `CNNClassifier`, which is trained in `fit`; None for one with its defaults.
        node: the node whose output is handed out, such as "max_pool1"; None for the input of the layer of outputs.
        prefit: whether the classifier is trained already and stays as it is.

    Attributes:
        classifier_: the trained classifier.
        node_: the node.
        n_features_in_: the number of entries of an example.
        feature_names_in_: names of features, where examples are a data frame.

    Raises (fit):
        UnknownNameError: the network has no such node.
        GraphError: the node is the loss.

    Source: F.-J. Huang and Y. LeCun, Large-scale learning with SVM and convolutional nets for generic object categorization, 2006.
    """

    def __init__(self, classifier: Any = None, node: str | None = None, *, prefit: bool = False) -> None:
        self.classifier = classifier
        self.node = node
        self.prefit = prefit

    def fit(self, X: Any, y: Any = None) -> CNNFeatures:
        """Train the classifier on examples X and labels y, unless it is trained already."""
        given = CNNClassifier() if self.classifier is None else self.classifier
        if not isinstance(given, CNNClassifier):
            raise HyperparameterError(f"CNNFeatures: classifier must be a CNNClassifier; got {given!r}")
        if self.prefit:
            check_is_fitted(given, "parameters_")
            self.classifier_ = given
        else:
            self.classifier_ = clone(given).fit(X, y)
        self.node_ = self._chosen()
        shape = self.classifier_.graph_.shapes(1)[self.node_]
        self._n_features_out = int(np.prod(shape))
        self.n_features_in_ = self.classifier_.n_features_in_
        if hasattr(self.classifier_, "feature_names_in_"):
            self.feature_names_in_ = self.classifier_.feature_names_in_
        return self

    def transform(self, X: Any) -> Array:
        """Return the activations for examples X, by axes (n, entries of the node's output)."""
        check_is_fitted(self, "classifier_")
        found = self.classifier_.activations(X, self.node_)
        return found.reshape(len(found), -1)

    def _chosen(self) -> str:
        """The array that is handed out."""
        graph = self.classifier_.graph_
        if self.node is None:
            maker = next(node for node in graph.nodes if graph.output in graph.wires.outputs[node.name].values())
            source = graph.wires.sources[maker.name][next(iter(maker.op.inputs))]
            return str(source)
        found = key(self.node, graph.wires)
        if self.node in graph.losses:
            raise GraphError(f"CNNFeatures: node must not be the loss {self.node!r}; choose one of {', '.join(n.name for n in graph.nodes)}")
        return found

    def __sklearn_tags__(self) -> Any:
        tags = TransformerMixin.__sklearn_tags__(self)
        tags.target_tags.required = not self.prefit
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
