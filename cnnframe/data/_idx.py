"""IDX files, the form of MNIST and its look-alikes, plain or compressed with gzip.

Four bytes (two zeros, the element type, the number of axes), one big-endian 32-bit length for each axis, then the entries, big-endian.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .._errors import DataError

_TYPES: Final = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP: Final = b"\x1f\x8b"
_AXES: Final = 8
_PIECE: Final = 2**20
_SURE: Final = 2**26
"""Bytes that a compressed file may hold whatever its size; beyond, `_RATIO` times its size."""
_RATIO: Final = 100


@dataclass(frozen=True)
class Header:
    """What an IDX file says of itself, held to what is there."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """The bytes of the entries."""
        return self.dtype.itemsize * math.prod(self.shape)


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Return the array of an IDX file, gzipped or not; what is not gzipped is mapped and read when it is needed.

    Raises:
        DataError: the file cannot be read, is no IDX file, is truncated or too long, or promises more than it can hold.
    """
    return read_with_md5(path)[0]


def read_with_md5(path: str | os.PathLike[str], *, md5: bool = False) -> tuple[NDArray[Any], str]:
    """Return the array of an IDX file, and the MD5 sum of its decompressed bytes if it is asked for.

    Raises:
        DataError: as for `read_idx`.
    """
    file_path = Path(path)
    if not file_path.is_file():
        raise DataError(f"{file_path} is no file; name an IDX file, such as train-images-idx3-ubyte.gz")
    try:
        with file_path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            compressed = file.read(2) == _GZIP
            file.seek(0)
            if compressed:
                return _unpacked(file, file_path, size)
            header = _header(file, file_path)
            if header.start + header.size != size:
                raise _wrong_size(file_path, header, f"{size - header.start:,}")
            file.seek(0)
            found = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() if md5 else ""
    except OSError as error:
        raise DataError(f"{file_path} cannot be read: {error.strerror or error}") from None
    return _mapped(file_path, header), found


def _header(file: BinaryIO, path: Path) -> Header:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES or not 1 <= magic[3] <= _AXES:
        raise DataError(f"{path} is no IDX file: it begins with {magic.hex(' ') or 'nothing'}; wanted 00 00, an element type and the number of axes")
    lengths = file.read(4 * magic[3])
    if len(lengths) < 4 * magic[3]:
        raise DataError(f"{path} is truncated: it ends within its header; get it again")
    return Header(np.dtype(_TYPES[magic[2]]), struct.unpack(f">{magic[3]}I", lengths), 4 + len(lengths))


def _wrong_size(path: Path, header: Header, came: str) -> DataError:
    lengths = " x ".join(map(str, header.shape))
    return DataError(f"{path} is truncated or not what it says: its header promises {lengths} entries, {header.size:,} bytes; got {came}; get it again")


def _mapped(path: Path, header: Header) -> NDArray[Any]:
    if not header.size:
        return np.empty(header.shape, header.dtype.newbyteorder("="))
    mapped = np.memmap(path, header.dtype, "r", header.start, header.shape)
    # Bytes have no order; what has another order than the machine's is turned, and then lies in memory.
    return mapped.view(header.dtype.newbyteorder("=")) if header.dtype.itemsize == 1 else np.asarray(mapped, header.dtype.newbyteorder("="))


def _unpacked(file: BinaryIO, path: Path, size: int) -> tuple[NDArray[Any], str]:
    """Decompress no more than the header promises, and hold the promise to the file's own size first."""
    try:
        with gzip.GzipFile(fileobj=file) as stream:
            counting = _Summed(cast("BinaryIO", stream))
            header = _header(cast("BinaryIO", counting), path)
            if header.size > max(_SURE, _RATIO * size):
                raise DataError(
                    f"{path} promises {header.size:,} bytes, more than {_RATIO} times its {size:,}, and is taken for a bomb;"
                    " if it is none, decompress it first: plain files are mapped, not loaded"
                )
            pieces = bytearray()
            while len(pieces) <= header.size and (piece := counting.read(min(_PIECE, header.size + 1 - len(pieces)))):
                pieces += piece
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path} is truncated or damaged: {error}; get it again") from None
    if len(pieces) != header.size:
        raise _wrong_size(path, header, f"{len(pieces):,}" if len(pieces) < header.size else "more")
    array = np.frombuffer(pieces, header.dtype).reshape(header.shape)
    return array.astype(header.dtype.newbyteorder("="), copy=False), counting.sum.hexdigest()


class _Summed:
    """A stream that sums up what is read."""

    def __init__(self, stream: BinaryIO) -> None:
        """Begin with nothing."""
        self.stream, self.sum = stream, hashlib.md5(usedforsecurity=False)

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`."""
        data = self.stream.read(size)
        self.sum.update(data)
        return data


def write_idx(path: str | os.PathLike[str], array: ArrayLike) -> None:
    """Write an array as an IDX file, gzipped if the path ends in .gz; the file is there whole or not at all.

    Raises:
        DataError: the array's element type or number of axes has no place in IDX, or the file cannot be written.
    """
    from .._files import write_whole

    values = np.asarray(array)
    codes = {np.dtype(text).newbyteorder("="): code for code, text in _TYPES.items()}
    code = codes.get(values.dtype.newbyteorder("="))
    if code is None or not 1 <= values.ndim <= _AXES or max(values.shape) >= 2**32:
        raise DataError(f"{path}: IDX holds 8 to 32 bit integers (8 bit without sign) and floats with 1 to {_AXES} axes; got {values.dtype} {values.shape}")
    head = bytes([0, 0, code, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    data = head + values.astype(_TYPES[code]).tobytes()
    write_whole(Path(path), gzip.compress(data, mtime=0) if str(path).endswith(".gz") else data, DataError)
