"""NumPy code of `backward`, from the formula of an operation."""

from ._generate import backward_function, loaded, source
from ._pieces import CodeError

__all__ = ["CodeError", "backward_function", "loaded", "source"]
