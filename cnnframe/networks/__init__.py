"""The networks in the box, each with the recipes that train it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from .._errors import UnknownNameError, nearest
from ._bouvrie import BOUVRIE as _BOUVRIE
from ._bouvrie import bouvrie as bouvrie
from ._deeplearn import DEEPLEARN as _DEEPLEARN
from ._deeplearn import deeplearn as deeplearn
from ._lecun1989 import LECUN1989 as _LECUN1989
from ._lecun1989 import lecun1989 as lecun1989
from ._lenet5 import LENET5 as _LENET5
from ._lenet5 import lenet5 as lenet5
from ._recipe import LOSSES as LOSSES
from ._recipe import Network as Network
from ._recipe import Recipe as Recipe
from ._recipe import code as code
from ._simard2003 import SIMARD2003 as _SIMARD2003
from ._simard2003 import simard2003 as simard2003

NETWORKS: Final[Mapping[str, Network]] = MappingProxyType(
    {"bouvrie": _BOUVRIE, "lenet5": _LENET5, "lecun1989": _LECUN1989, "simard2003": _SIMARD2003, "deeplearn": _DEEPLEARN}
)


def network(name: str) -> Network:
    """Return the network called `name`.

    Raises:
        UnknownNameError: there is none; the nearest known name is in the message.
    """
    if name not in NETWORKS:
        raise UnknownNameError(f"no network is called {name!r}; {nearest(str(name), NETWORKS)}")
    return NETWORKS[name]
