"""Pictures of a training: learning curves, kernels, feature maps, confusions, weights of maps, gradient norms.

Each function returns a Matplotlib figure, which needs no screen; `save` writes it.
"""

from __future__ import annotations

from ._arrays import kernels as kernels
from ._arrays import maps as maps
from ._confusion import confusion as confusion
from ._curves import curves as curves
from ._curves import norms as norms
from ._mixtures import alpha as alpha
from ._style import save as save
