from __future__ import annotations

import hashlib
import io
import zipfile

import pytest

from waybill.errors import FileTooLarge
from waybill.formats import zip_stream
from waybill.formats.zip_stream import ZipStream

CONTENT = hashlib.shake_128(b"").digest(150_000) + b"row" * 100_000


def archive(step: int) -> bytes:
    stream = ZipStream()
    data = stream.entry("a.xml", b"<a/>") + stream.entry("empty", b"") + stream.open_entry("b/ü")
    for start in range(0, len(CONTENT), step):
        data += stream.write(CONTENT[start : start + step])
    return data + stream.close_entry() + stream.finish()


def test_archive_reads_back_whole() -> None:
    with zipfile.ZipFile(io.BytesIO(archive(7777))) as read:
        assert read.testzip() is None
        assert read.namelist() == ["a.xml", "empty", "b/ü"]
        assert read.read("b/ü") == CONTENT
        assert read.read("empty") == b""


@pytest.mark.parametrize("step", [1000, 65_536, 65_537, len(CONTENT)])
def test_bytes_do_not_depend_on_how_the_content_came(step: int) -> None:
    assert archive(step) == archive(7777)


def test_archive_ends_before_the_size_that_needs_zip64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zip_stream, "LIMIT_BYTES", 100_000)

    with pytest.raises(FileTooLarge, match="4 GiB"):
        archive(7777)
