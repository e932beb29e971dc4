"""The service under measurement: the embedded stack, tables of every size, one worker."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from measure import CpuMeter, cpu_seconds

from waybill.local.sample import create_users
from waybill.local.service_stack import RunningService, running_service
from waybill.local.stack import LocalStack

_TYPE = """
[exports.users-{rows}]
table = "public.users_{rows}"
key = "id"
deadline_seconds = 3600
quota = "unlimited"
"""
_RECLAIM_SECONDS = 10.0
_SETTLE_SECONDS = 5.0


class House:
    """Everything a work needs. A context manager; use ``opened``.

    Args:
        directory: where the stack's data and the peers' files go; on a disk with room.
        sizes: the tables' rows.
        source: the name of the database they are read from; the service's own if left out.
    """

    def __init__(self, directory: Path, sizes: tuple[int, ...], source: str | None = None) -> None:
        self.directory = directory
        self._source = source
        self.files = directory / "files"
        self.files.mkdir(parents=True, exist_ok=True)
        self._sizes = sorted(set(sizes))
        self._made: set[int] = set()
        self._exits = contextlib.ExitStack()
        self._service_exits = contextlib.ExitStack()
        self._service: RunningService | None = None
        self._concurrency = 0
        self._client: httpx.Client | None = None
        self.stack = LocalStack(directory / "stack")

    @classmethod
    @contextlib.contextmanager
    def opened(
        cls, directory: Path, sizes: tuple[int, ...], source: str | None = None
    ) -> Iterator[House]:
        """Start the stack for the block and stop whatever was started, in order, after it."""
        house = cls(directory, sizes, source)
        with house._exits:
            house._exits.enter_context(house.stack)
            house._exits.callback(house.stop_service)
            yield house

    # -- the service ----------------------------------------------------------------------------

    def service(self, concurrency: int | None = None) -> RunningService:
        """Return the running service, with a worker of that many processes if it is given."""
        concurrency = concurrency or self._concurrency or 1
        if self._service is None or self._concurrency != concurrency:
            self.stop_service()
            catalog = self.directory / "waybill.toml"
            declared = "" if self._source is None else f"[sources.{self._source}]\n"
            catalog.write_text(declared + "".join(map(self._type, self._sizes)), "utf-8")
            self._service_exits = contextlib.ExitStack()
            self._service = self._service_exits.enter_context(
                running_service(self.stack, catalog=str(catalog), concurrency=concurrency)
            )
            self._concurrency = concurrency
        return self._service

    def _type(self, rows: int) -> str:
        said = "" if self._source is None else f'source = "{self._source}"\n'
        return _TYPE.format(rows=rows) + said

    def client(self) -> httpx.Client:
        """Return a client that keeps its connection to the service, as an application's does: one
        of its own for each request loads certificates and connects (30 ms of CPU)."""
        if self._client is None:
            endpoint = self.service().endpoint
            headers = {"Authorization": f"Bearer {endpoint.token}"}
            self._client = self._service_exits.enter_context(
                httpx.Client(base_url=endpoint.url, headers=headers, timeout=30)
            )
            self._client.get("/api/exports").raise_for_status()
        return self._client

    def stop_service(self) -> None:
        """Stop it. It comes back, with the environment of that moment, when it is asked for."""
        self._client = None
        self._service = None
        self._service_exits.close()

    def fresh_worker(self) -> None:
        """Replace the worker: a process keeps what memory its largest export needed."""
        processes = self.service().processes
        processes.worker.stop()
        processes.start_worker()

    def settle(self) -> None:
        """Wait until the worker rests: it replaces a process that has grown, and what is measured
        next is not to pay for that."""
        if self._service is None:
            return
        deadline = time.monotonic() + _SETTLE_SECONDS
        used = cpu_seconds(self.worker_pid)
        while time.monotonic() < deadline:
            time.sleep(0.25)
            before, used = used, cpu_seconds(self.worker_pid)
            if used - before < 0.02:
                return

    @property
    def worker_pid(self) -> int:
        return self.service().processes.worker.pid

    def meter(self) -> CpuMeter:
        """Begin to count the CPU seconds of each group of processes."""
        groups = {
            "postgres": [self.stack.postgres.process.pid],
            "s3": [self.stack.seaweedfs.process.pid],
        }
        if self._service is not None:
            processes = self._service.processes
            groups["worker"] = [processes.worker.pid]
            groups["api"] = [processes.api.pid]
        return CpuMeter(groups)

    # -- tables ---------------------------------------------------------------------------------

    def table(self, rows: int) -> str:
        """Return the name of the table with so many users, made on first use."""
        name = f"users_{rows}"
        if rows not in self._made:
            create_users(self.stack.addresses.postgres_dsn, rows, table=name)
            self._made.add(rows)
        return name

    # -- storage --------------------------------------------------------------------------------

    def s3_spec(self, key: str) -> dict[str, str]:
        """Return what a peer needs to upload."""
        addresses = self.stack.addresses
        return {
            "endpoint_url": addresses.s3_endpoint_url,
            "region": addresses.s3_region,
            "access_key": addresses.s3_access_key,
            "secret_key": addresses.s3_secret_key,
            "bucket": addresses.s3_bucket,
            "key": key,
        }

    def s3(self) -> Any:
        return self.stack.seaweedfs.client(timeout_seconds=120)

    def size_of(self, key: str) -> int:
        """Return the bytes of an object; raises if it is not there."""
        return int(
            self.s3().head_object(Bucket=self.stack.addresses.s3_bucket, Key=key)["ContentLength"]
        )

    def reclaim(self) -> None:
        """Delete every object, and give the disk back.

        SeaweedFS keeps deleted bytes in its volumes until it compacts them, but a bucket's volumes
        go with the bucket.
        """
        bucket = self.stack.addresses.s3_bucket
        client = self.s3()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for item in page.get("Contents", ()):
                client.delete_object(Bucket=bucket, Key=item["Key"])
        client.delete_bucket(Bucket=bucket)
        deadline = time.monotonic() + _RECLAIM_SECONDS
        while True:
            # A bucket that was just deleted lingers in the gateway for a moment.
            try:
                self.stack.seaweedfs.ensure_bucket(bucket, client)
                client.put_object(Bucket=bucket, Key="probe", Body=b"x")
                client.delete_object(Bucket=bucket, Key="probe")
            except Exception:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(0.2)
            else:
                return
