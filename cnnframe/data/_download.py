"""Get MNIST: checked, resumed where it broke off, and there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from .._errors import DataError
from ._idx import read_with_md5
from ._mnist import PARTS, Part

MIRRORS: Final = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
"""Where the four files are, gzipped."""
Progress = Callable[[str, int, int | None], None]
"""Called with the name of a file, the bytes that are there, and those that there will be, if that is known."""
_MOST: Final = 64 * 2**20
_PIECE: Final = 2**16
_TIMEOUT: Final = 30


def download_mnist(folder: str | os.PathLike[str], mirrors: Sequence[str] = MIRRORS, on_progress: Progress | None = None) -> Path:
    """Get MNIST's four files into a folder, gzipped, and return it; a file that is there and right stays.

    What was received before an interruption is kept as NAME.part, and the next call goes on from there. A file gets its name once its MD5 sum is right.

    Args:
        folder: made if it is not there.
        mirrors: addresses (http or https) that the names of the files are put behind, tried in order.
        on_progress: called while bytes come in.

    Raises:
        DataError: no mirror has a file, or what came is not MNIST; the message says what each of them answered.
    """
    place = Path(folder)
    listed = [mirrors] if isinstance(mirrors, str) else list(mirrors)
    for mirror in listed:
        if not isinstance(mirror, str) or urlsplit(mirror).scheme not in ("http", "https"):
            raise DataError(f"a mirror is an address that begins with http:// or https://; got {mirror!r}")
    if not listed:
        raise DataError("no mirror is named")
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"the folder {place} cannot be made: {error.strerror}") from None
    for part in PARTS:
        if not any(_is_right(candidate, part) for candidate in (place / part.name, place / f"{part.name}.gz")):
            _get(part, place, listed, on_progress)
    return place


def _is_right(path: Path, part: Part) -> bool:
    if not path.is_file():
        return False
    try:
        return read_with_md5(path, md5=True)[1] == part.md5
    except DataError:
        return False


def _get(part: Part, folder: Path, mirrors: Sequence[str], on_progress: Progress | None) -> None:
    import http.client
    import urllib.error

    name = f"{part.name}.gz"
    partial, answers = folder / f"{name}.part", []
    for mirror in mirrors:
        address = f"{mirror.rstrip('/')}/{name}"
        # A part that was there may be of something else: then once more, from the start.
        for _ in range(2 if partial.is_file() else 1):
            try:
                _receive(address, partial, name, on_progress)
            except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
                answers.append(f"{address}: {getattr(error, 'reason', None) or error}")
                break
            if _is_right(partial, part):
                _settle(partial, folder / name)
                return
            partial.unlink(missing_ok=True)
            answers.append(f"{address}: what came is not MNIST's {part.name}")
    raise DataError(f"{name} could not be had; " + "; ".join(answers))


def _settle(partial: Path, target: Path) -> None:
    try:
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise DataError(f"{target} cannot be written: {error.strerror or error}") from None


def _receive(address: str, partial: Path, name: str, on_progress: Progress | None) -> None:
    """Add what the server has beyond what is there already.

    Raises:
        OSError: it cannot be reached, breaks off, or sends more than such a file can have.
    """
    import http
    import urllib.error
    import urllib.request

    there = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(address, headers={"Range": f"bytes={there}-"} if there else {})  # noqa: S310 # http and https only, as checked before
    try:
        answer = urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310 # as above
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and there:
            return  # all of it is there
        raise
    with answer:
        goes_on = answer.status == http.HTTPStatus.PARTIAL_CONTENT and answer.headers.get("Content-Range", "").startswith(f"bytes {there}-")
        done = there if goes_on else 0
        length = answer.headers.get("Content-Length", "")
        whole = done + int(length) if length.isdigit() else None
        with partial.open("ab" if goes_on else "wb") as file:
            while data := answer.read(_PIECE):
                done += len(data)
                if done > _MOST:
                    raise OSError(f"it sends more than {_MOST:,} bytes")
                file.write(data)
                if on_progress is not None:
                    on_progress(name, done, whole)
    if whole is not None and done < whole:
        raise OSError(f"it broke off after {done:,} of {whole:,} bytes; call again to go on")
