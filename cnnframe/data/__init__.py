"""Images and labels: the embedded digits, MNIST, checks, splits, sizes and scales, distortions, pictures."""

from __future__ import annotations

from ._arrays import Lazy as Lazy
from ._arrays import open_arrays as open_arrays
from ._checks import check_images as check_images
from ._checks import check_labels as check_labels
from ._digits import digits as digits
from ._digits import digits16 as digits16
from ._distort import Distortion as Distortion
from ._download import MIRRORS as MIRRORS
from ._download import download_mnist as download_mnist
from ._idx import read_idx as read_idx
from ._idx import write_idx as write_idx
from ._mnist import data_folder as data_folder
from ._mnist import idx_folder as idx_folder
from ._mnist import mnist as mnist
from ._normalise import Standardiser as Standardiser
from ._normalise import double as double
from ._normalise import standardise_images as standardise_images
from ._pictures import read_picture as read_picture
from ._pictures import read_pictures as read_pictures
from ._prepare import SCALINGS as SCALINGS
from ._prepare import Preparation as Preparation
from ._prepare import prepare as prepare
from ._prepare import subset as subset
from ._resize import bilinear as bilinear
from ._resize import fit_to as fit_to
from ._resize import pad_to as pad_to
from ._split import Split as Split
from ._split import split as split
