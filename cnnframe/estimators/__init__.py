"""Convolutional networks as scikit-learn estimators; importing this needs scikit-learn."""

from __future__ import annotations

from .._errors import MissingPackageError

try:
    import sklearn as _sklearn  # noqa: F401 # asked for here, so that one message says what is missing
except ImportError as _error:
    raise MissingPackageError(f"cnnframe.estimators needs scikit-learn ({_error}); install it with: pip install 'cnnframe[sklearn]'") from _error

from ._classifier import CNNClassifier as CNNClassifier
from ._features import CNNFeatures as CNNFeatures
