"""Compression of a whole text file: frames of their own, made by threads, joined in order.

zstd frames (RFC 8878) and gzip members (RFC 1952) may follow each other in one file, and every
tool reads such a file as the join of their contents. So 512 KiB of the file at a time become a
frame, several at once, without Python's lock. Frames are cut by the file's bytes alone: equal data
give equal frames, however the rows arrived, and with zstd equal bytes. ISA-L, which makes gzip's,
was once seen to miss a match in a frame that it had made with it before: the same content in six
bytes more. So nothing may rely on a frame that is made a second time being the first.

Levels by measurement, which docs/compression.md has. Larger frames gain nothing.
"""

from __future__ import annotations

import gzip
import io
import sys
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Final, Protocol, Self, cast

from isal import igzip, isal_zlib

from waybill.errors import InvalidOption, UnreadableFile
from waybill.run_control import POLL_SECONDS
from waybill.source.processors import count_processors

if TYPE_CHECKING:
    from typing_extensions import Buffer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FRAME_BYTES: Final = 512 * 1024
_MOST_THREADS: Final = 4
_ZSTD_OPTIONS: Final[dict[int, int]] = {
    zstd.CompressionParameter.compression_level: 1,
    # So that a reader notices damage, as with gzip.
    zstd.CompressionParameter.checksum_flag: 1,
}
_GZIP_LEVEL: Final = 2
_GZIP_WINDOW: Final = 31  # 2^15 bytes, with gzip's header and trailer


@dataclass(frozen=True, slots=True)
class Codec:
    """A compression: ``suffix`` is added to file names, dot included."""

    name: str
    suffix: str
    media_type: str
    compress: Callable[[bytes | bytearray], bytes]
    """Return one frame."""
    open_file: Callable[[Path], BinaryIO]
    """Open a compressed file to read its content."""
    failures: tuple[type[Exception], ...]
    """What reading a damaged file raises."""


def _zstd_frame(data: bytes | bytearray) -> bytes:
    return zstd.compress(data, options=_ZSTD_OPTIONS)


def _gzip_member(data: bytes | bytearray) -> bytes:
    # The header's time stays 0, so that equal data differ in nothing that says when they were made.
    return isal_zlib.compress(data, _GZIP_LEVEL, _GZIP_WINDOW)


CODECS: Final = {
    codec.name: codec
    for codec in (
        Codec(
            "gzip",
            ".gz",
            "application/gzip",
            _gzip_member,
            lambda path: cast("BinaryIO", cast("Any", igzip).IGzipFile(path, "rb")),
            (EOFError, gzip.BadGzipFile, cast("type[Exception]", isal_zlib.error)),
        ),
        Codec(
            "zstd",
            ".zst",
            "application/zstd",
            _zstd_frame,
            lambda path: cast("BinaryIO", zstd.open(path, "rb")),
            (EOFError, zstd.ZstdError),
        ),
    )
}


def get_codec(name: str) -> Codec:
    """Return the compression called ``name``; raises ``InvalidOption``."""
    try:
        return CODECS[name]
    except KeyError:
        raise InvalidOption("compression", f"give one of: {', '.join(CODECS)}") from None


class Stage(Protocol):
    """What stands between an encoding and the parts. For one thread."""

    @property
    def bytes_taken(self) -> int:
        """Bytes given to ``write``."""
        ...

    def write(self, data: bytes | bytearray) -> None: ...

    def finish(self) -> None:
        """Pass on all that is left."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


def open_stage(
    codec: Codec | None,
    target: Callable[[bytes | bytearray], None],
    check: Callable[[], None],
    *,
    threads: int | None = None,
) -> Stage:
    """Return the stage for ``codec``, which passes what it makes to ``target``.

    Args:
        codec: ``None`` passes everything on as it is.
        target: called from the writing thread, in order.
        check: called while waiting for a frame; stops the run by raising.
        threads: how many frames are made at a time; by the processors if ``None``.
    """
    if codec is None:
        return _Unchanged(target)
    return _Frames(codec, target, check, threads or _threads())


class _Unchanged:
    def __init__(self, target: Callable[[bytes | bytearray], None]) -> None:
        self._target = target
        self.bytes_taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, data: bytes | bytearray) -> None:
        self.bytes_taken += len(data)
        self._target(data)

    def finish(self) -> None:
        pass


class _Frames:
    """At most two frames per thread are under way: 2 MiB and what they come to, for 2 threads."""

    def __init__(
        self,
        codec: Codec,
        target: Callable[[bytes | bytearray], None],
        check: Callable[[], None],
        threads: int,
    ) -> None:
        self._codec = codec
        self._target = target
        self._check = check
        self._most = 2 * threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="waybill-compress")
        self._under_way: deque[Future[bytes]] = deque()
        self._frame = bytearray()
        self._frames = 0
        self.bytes_taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # A frame is over in a moment: there is nothing worth waiting for.
        self._pool.shutdown(wait=False, cancel_futures=True)

    def write(self, data: bytes | bytearray) -> None:
        self.bytes_taken += len(data)
        view = memoryview(data)
        while len(view) >= (room := FRAME_BYTES - len(self._frame)):
            self._frame += view[:room]
            view = view[room:]
            self._hand_over()
        self._frame += view

    def finish(self) -> None:
        # A file of nothing is one empty frame: no bytes at all would be no file of this kind.
        if self._frame or not self._frames:
            self._hand_over()
        while self._under_way:
            self._pass_on()

    def _hand_over(self) -> None:
        if len(self._under_way) >= self._most:
            self._pass_on()
        self._under_way.append(self._pool.submit(self._codec.compress, self._frame))
        self._frames += 1
        self._frame = bytearray()

    def _pass_on(self) -> None:
        first = self._under_way.popleft()
        while True:
            try:
                frame = first.result(POLL_SECONDS)
            except TimeoutError:
                self._check()
            else:
                self._target(frame)
                return


def _threads() -> int:
    return min(_MOST_THREADS, count_processors())


class Decompressed(io.RawIOBase):
    """A compressed file's content as a file, read in bounded memory; ``bytes_read`` counts it.

    Raises:
        UnreadableFile: while reading, where the file is damaged or ends too early.
    """

    def __init__(self, path: Path, compression: str) -> None:
        super().__init__()
        self._codec = get_codec(compression)
        self._file = self._codec.open_file(path)
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        view = memoryview(buffer)
        try:
            data = self._file.read(len(view))
        except self._codec.failures as exc:
            raise UnreadableFile(f"The file cannot be decompressed as {self._codec.name}.") from exc
        view[: len(data)] = data
        self.bytes_read += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
