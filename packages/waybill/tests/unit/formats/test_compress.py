from __future__ import annotations

import gzip
import hashlib
import io
import subprocess
import time
import zlib
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waybill.errors import InvalidOption, LeaseLost, UnreadableFile
from waybill.formats import compress
from waybill.formats.compress import CODECS, FRAME_BYTES, Decompressed, get_codec, open_stage
from waybill.requests.request import Compression

# Compressible and not, over several frames.
CONTENT = b"".join(b"%d,user%d@example.org\r\n" % (n, n) for n in range(90_000))
CONTENT += b"".join(hashlib.sha512(b"%d" % n).digest() for n in range(11_000))


def compressed(codec: str | None, *pieces: bytes) -> bytes:
    written = bytearray()
    with open_stage(codec and CODECS[codec], written.extend, lambda: None, threads=2) as stage:
        for piece in pieces:
            stage.write(piece)
        stage.finish()
        assert stage.bytes_taken == sum(map(len, pieces))
    return bytes(written)


def test_every_compression_that_can_be_asked_for_has_a_codec() -> None:
    assert set(CODECS) == set(get_args(Compression))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("size", [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2_000_000])
def test_the_content_comes_back(codec: str, size: int, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(compressed(codec, CONTENT[:size]))

    with Decompressed(file, codec) as content:
        assert io.BufferedReader(content).read() == CONTENT[:size]
        assert content.bytes_read == size


@settings(max_examples=20, deadline=None)
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=5))
def test_equal_data_give_equal_frames_however_they_arrive(cuts: list[int]) -> None:
    ends = [*sorted(cuts), len(CONTENT)]
    pieces = [CONTENT[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    # Digests: where they differ, nobody waits for the difference of megabytes to be drawn.
    apart, at_once = (compressed("zstd", *each) for each in (pieces, [CONTENT]))
    assert hashlib.sha256(apart).digest() == hashlib.sha256(at_once).digest()
    # ISA-L misses a match in one of tens of thousands of frames, and nobody knows why.
    assert members(compressed("gzip", *pieces)) == members(compressed("gzip", CONTENT))


def members(data: bytes) -> list[bytes]:
    """Return the digest of each gzip member's content, and of its header."""
    found = []
    while data:
        member = zlib.decompressobj(wbits=31)
        content = member.decompress(data)
        assert member.eof
        found.append(hashlib.sha256(data[:10] + content).digest())
        data = member.unused_data
    return found


def test_the_tools_people_have_read_it(tmp_path: Path) -> None:
    file = tmp_path / "file.gz"
    file.write_bytes(compressed("gzip", CONTENT))
    assert gzip.decompress(file.read_bytes()) == CONTENT
    unpacked = subprocess.run(["gzip", "-dc", str(file)], check=True, capture_output=True).stdout
    assert unpacked == CONTENT


def test_without_compression_nothing_is_changed() -> None:
    assert compressed(None, b"a", b"", b"b") == b"ab"


def test_an_unknown_compression_is_refused() -> None:
    with pytest.raises(InvalidOption, match="gzip, zstd"):
        get_codec("rar")


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("damage", ["cut", "flipped", "other"])
def test_a_damaged_file_is_told(codec: str, damage: str, tmp_path: Path) -> None:
    data = bytearray(compressed(codec, CONTENT))
    if damage == "cut":
        del data[-3:]
    elif damage == "flipped":
        data[len(data) // 2] ^= 0x55
    else:
        data[:] = b"id,name\r\n1,Ada\r\n" * 9
    file = tmp_path / "file"
    file.write_bytes(data)

    with Decompressed(file, codec) as content, pytest.raises(UnreadableFile, match=codec):
        io.BufferedReader(content).read()


def test_an_order_to_stop_ends_the_wait_for_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compress, "POLL_SECONDS", 0.01)

    def check() -> None:
        raise LeaseLost

    stage = compress._Frames(
        compress.Codec(
            "slow",
            ".slow",
            "application/slow",
            lambda data: time.sleep(0.3) or bytes(data),
            lambda path: path.open("rb"),
            (),
        ),
        bytearray().extend,
        check,
        threads=1,
    )
    with stage:
        stage.write(b"rows")
        with pytest.raises(LeaseLost):
            stage.finish()
