"""Getting MNIST from servers on this machine: checked, resumed, and from the next mirror where one fails."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from typer.testing import CliRunner

import cnnframe as cf
from cnnframe import data
from cnnframe.cli._app import make_app
from cnnframe.data import _download
from cnnframe.data._mnist import Part

FILES = {}
PARTS = []
for number, name in enumerate(["train-images-idx3-ubyte", "train-labels-idx1-ubyte"]):
    entries = np.random.default_rng(number).integers(0, 256, 3000 + number, np.uint8)
    plain = b"\0\0\x08\x01" + len(entries).to_bytes(4, "big") + entries.tobytes()
    FILES[f"/{name}.gz"] = gzip.compress(plain, mtime=0)
    PARTS.append(Part(name, hashlib.md5(plain, usedforsecurity=False).hexdigest()))


class Server:
    """Serves `files`; `cut` bytes of each at most, then the connection ends; with or without ranges."""

    def __init__(self, files=FILES, cut=None, ranges=True, endless=False):
        self.files, self.cut, self.ranges, self.endless = files, cut, ranges, endless
        self.asked = []

    def answer(self, request):
        self.asked.append((request.path, request.headers.get("Range")))
        whole = self.files.get(request.path)
        if whole is None:
            request.send_error(404)
            return
        start = int(request.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-")) if self.ranges else 0
        if start >= len(whole):
            request.send_error(416)
            return
        request.send_response(206 if start else 200)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(whole) - 1}/{len(whole)}")
        if not self.endless:
            request.send_header("Content-Length", str(len(whole) - start))
        request.end_headers()
        request.wfile.write(whole[start:][: self.cut])
        with contextlib.suppress(OSError):
            while self.endless:
                request.wfile.write(bytes(2**16))


@contextlib.contextmanager
def serving(server):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            server.answer(self)

        def log_message(self, *arguments):
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.server_address[1]}/"
    finally:
        listening.shutdown()
        thread.join()
        listening.server_close()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(_download, "PARTS", PARTS)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def contents(folder):
    return {f"/{path.name}": path.read_bytes() for path in folder.iterdir()}


def test_gets_the_files_and_tells_how_far_it_is(tmp_path):
    told = []
    with serving(server := Server()) as mirror:
        assert data.download_mnist(tmp_path / "new" / "folder", [mirror], lambda *state: told.append(state)) == tmp_path / "new" / "folder"
    assert contents(tmp_path / "new" / "folder") == FILES
    sizes = [len(content) for content in FILES.values()]
    assert [state for state in told if state[1] == state[2]] == [(name[1:], size, size) for name, size in zip(FILES, sizes, strict=True)]
    assert [range_ for _, range_ in server.asked] == [None, None]


def test_what_is_there_and_right_stays(tmp_path):
    for name, content in FILES.items():
        (tmp_path / name[1:]).write_bytes(content)
    data.download_mnist(tmp_path, ["http://127.0.0.1:9/"])
    (tmp_path / "train-labels-idx1-ubyte.gz").write_bytes(b"wrong")
    with serving(server := Server()) as mirror:
        data.download_mnist(tmp_path, mirror)
    assert [path for path, _ in server.asked] == ["/train-labels-idx1-ubyte.gz"] and contents(tmp_path) == FILES


def test_goes_on_where_it_broke_off(tmp_path):
    with serving(Server(cut=1000)) as mirror, pytest.raises(cf.DataError, match=r"it broke off after 1,000 of [\d,]+ bytes; call again to go on"):
        data.download_mnist(tmp_path, [mirror])
    assert [path.name for path in tmp_path.iterdir()] == ["train-images-idx3-ubyte.gz.part"]
    with serving(server := Server()) as mirror:
        data.download_mnist(tmp_path, [mirror])
    assert server.asked[0] == ("/train-images-idx3-ubyte.gz", "bytes=1000-") and contents(tmp_path) == FILES


def test_a_server_without_ranges_starts_again(tmp_path):
    (tmp_path / "train-images-idx3-ubyte.gz.part").write_bytes(FILES["/train-images-idx3-ubyte.gz"][:500])
    with serving(Server(ranges=False)) as mirror:
        data.download_mnist(tmp_path, [mirror])
    assert contents(tmp_path) == FILES


@pytest.mark.parametrize("left", [b"something else", FILES["/train-images-idx3-ubyte.gz"] + b"more", FILES["/train-images-idx3-ubyte.gz"]])
def test_a_part_of_something_else_is_thrown_away(tmp_path, left):
    (tmp_path / "train-images-idx3-ubyte.gz.part").write_bytes(left)
    with serving(Server()) as mirror:
        data.download_mnist(tmp_path, [mirror])
    assert contents(tmp_path) == FILES


def test_the_next_mirror(tmp_path):
    wrong = {name: gzip.compress(b"<html>") for name in FILES}
    with serving(Server({})) as empty, serving(Server(wrong)) as other, serving(Server()) as good:
        data.download_mnist(tmp_path, ["http://127.0.0.1:9", empty, other, good])
    assert contents(tmp_path) == FILES


def test_says_what_every_mirror_answered(tmp_path):
    wrong = {name: gzip.compress(b"<html>") for name in FILES}
    with serving(Server({})) as empty, serving(Server(wrong)) as other, pytest.raises(cf.DataError, match="could not be had") as found:
        data.download_mnist(tmp_path, [empty, other])
    assert f"{empty}train-images-idx3-ubyte.gz: Not Found" in str(found.value)
    assert f"{other}train-images-idx3-ubyte.gz: what came is not MNIST's train-images-idx3-ubyte" in str(found.value)
    assert not list(tmp_path.iterdir())


def test_a_stream_without_end_is_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(_download, "_MOST", 2**18)
    with serving(Server(endless=True)) as mirror, pytest.raises(cf.DataError, match="it sends more than 262,144 bytes"):
        data.download_mnist(tmp_path, [mirror])


@pytest.mark.parametrize("mirrors", [["file:///etc"], ["ftp://a"], [""], [3], []])
def test_mirrors_refused(tmp_path, mirrors):
    with pytest.raises(cf.DataError, match=r"a mirror is an address that begins with http:// or https://|no mirror is named"):
        data.download_mnist(tmp_path / "a", mirrors)
    assert not (tmp_path / "a").exists()


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(cf.DataError, match="cannot be made"):
        data.download_mnist(tmp_path / "file" / "a", ["http://127.0.0.1:9"])


def test_the_command(tmp_path):
    runner = CliRunner()
    with serving(Server(cut=1000)) as mirror:
        broken = runner.invoke(make_app(), ["download", str(tmp_path), "--mirror", mirror])
    assert broken.exit_code == 2 and "error: train-images-idx3-ubyte.gz could not be had" in broken.output
    with serving(Server()) as mirror:
        done = runner.invoke(make_app(), ["download", str(tmp_path), "--mirror", "http://127.0.0.1:9", "--mirror", mirror])
    assert done.exit_code == 0 and f"export CNNFRAME_DATA={tmp_path}" in done.output.replace("\n", "") and contents(tmp_path) == FILES
