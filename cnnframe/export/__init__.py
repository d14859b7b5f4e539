"""Trained networks in a format that other frameworks read."""

from __future__ import annotations

from ._builder import OPSET as OPSET
from ._builder import Builder as Builder
from ._builder import Value as Value
from ._onnx import Exported as Exported
from ._onnx import exportable as exportable
from ._onnx import onnx as onnx
