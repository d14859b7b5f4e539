"""Images and labels: the embedded digits, checks, splits, and normalisation."""

from __future__ import annotations

from ._checks import check_images as check_images
from ._checks import check_labels as check_labels
from ._digits import digits as digits
from ._digits import digits16 as digits16
from ._normalise import Standardiser as Standardiser
from ._normalise import double as double
from ._normalise import standardise_images as standardise_images
from ._split import Split as Split
from ._split import split as split
