"""How the peers deliver: to a file, or to S3 through boto3's own ``upload_fileobj``.

Told by the environment (``BENCH_PEER``, JSON), so that no password stands in a process list.
"""

from __future__ import annotations

import io
import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

SPEC: dict[str, Any] = json.loads(os.environ.get("BENCH_PEER", "{}"))


def s3_client() -> Any:
    """Return a client as most people make one: boto3's defaults."""
    import boto3

    s3 = SPEC["s3"]
    return boto3.client(
        "s3",
        endpoint_url=s3["endpoint_url"],
        region_name=s3["region"],
        aws_access_key_id=s3["access_key"],
        aws_secret_access_key=s3["secret_key"],
    )


def upload(source: IO[bytes]) -> None:
    """Upload what can be read from ``source``, in parts and several at once."""
    s3_client().upload_fileobj(source, SPEC["s3"]["bucket"], SPEC["s3"]["key"])


def upload_file(path: Path) -> None:
    """Upload a file."""
    s3_client().upload_file(str(path), SPEC["s3"]["bucket"], SPEC["s3"]["key"])


class _CountingPipe(io.RawIOBase):
    """The writing end of a pipe that knows how much went through (Parquet's writer asks)."""

    def __init__(self, descriptor: int) -> None:
        self._file = os.fdopen(descriptor, "wb", buffering=1024 * 1024)
        self._position = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._file.write(data)
        self._position += len(data)
        return len(data)

    def tell(self) -> int:
        return self._position

    def flush(self) -> None:
        if not self._file.closed:
            self._file.flush()

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def uploading() -> Iterator[Any]:
    """Give a binary file whose content goes to S3 while it is written."""
    reading, writing = os.pipe()
    failures: list[BaseException] = []

    def work() -> None:
        with os.fdopen(reading, "rb", buffering=1024 * 1024) as source:
            try:
                upload(source)
            except BaseException as exc:
                failures.append(exc)

    thread = threading.Thread(target=work)
    thread.start()
    with _CountingPipe(writing) as target:
        yield target
    thread.join()
    if failures:
        raise failures[0]


@contextmanager
def temporary_file(suffix: str) -> Iterator[Path]:
    """Give a path for peers that can only write whole files."""
    with tempfile.TemporaryDirectory(dir=SPEC["directory"]) as directory:
        yield Path(directory) / f"export{suffix}"


def report(**figures: Any) -> None:
    """Tell the harness what else was measured."""
    print(json.dumps(figures))
