"""Convolutional networks in which every gradient comes with evidence."""

from __future__ import annotations

from . import data as data
from . import networks as networks
from . import targets as targets
from . import training as training
from ._axes import BATCH as BATCH
from ._errors import CnnframeError as CnnframeError
from ._errors import ContractError as ContractError
from ._errors import DataError as DataError
from ._errors import DeclarationError as DeclarationError
from ._errors import DTypeError as DTypeError
from ._errors import FormulaError as FormulaError
from ._errors import GraphError as GraphError
from ._errors import HyperparameterError as HyperparameterError
from ._errors import NonFiniteError as NonFiniteError
from ._errors import PluginError as PluginError
from ._errors import RunError as RunError
from ._errors import ShapeError as ShapeError
from ._errors import UnknownNameError as UnknownNameError
from ._executor import Executor as Executor
from ._executor import Gradients as Gradients
from ._graph import Graph as Graph
from ._graph import Node as Node
from ._graph import Penalty as Penalty
from ._hookspecs import hookimpl as hookimpl
from ._hyper import PerAxis as PerAxis
from ._hyper import at_least as at_least
from ._hyper import between as between
from ._hyper import multiple_of as multiple_of
from ._hyper import one_of as one_of
from ._hyper import positive as positive
from ._links import LENET5_LINKS as LENET5_LINKS
from ._links import Links as Links
from ._op import Activation as Activation
from ._op import Array as Array
from ._op import Layer as Layer
from ._op import Loss as Loss
from ._op import Op as Op
from ._op import Regularizer as Regularizer
from ._optimizer import Optimizer as Optimizer
from ._param import Constant as Constant
from ._param import GlorotUniform as GlorotUniform
from ._param import LeCunNormal as LeCunNormal
from ._param import Param as Param
from ._param import bias as bias
from ._param import gain as gain
from ._parameters import Parameters as Parameters
from ._plan import Plan as Plan
from ._registry import Registry as Registry
from ._registry import load as load
from .training import Decay as Decay
from .training import History as History
from .training import RunFolder as RunFolder
from .training import Trainer as Trainer

__version__ = "0.1.0"
