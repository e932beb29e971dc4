"""A source that does not share the worker's processors, with TLS, read by one connection or two.

    python benchmarks/elsewhere.py --programs /usr/lib/postgresql/15/bin [--users 1000000]

Where PostgreSQL and S3 run beside the worker, as in ``make bench``, every one of them takes from
the others. Here source and S3 are held to one half of the processors, and the worker and the API to
the other (Linux, two processors or more). All settings take turns; medians, and ranges in brackets.
Where there are two processors, PostgreSQL has one of them: a second reader finds none to run on, so
what two would bring elsewhere follows from the CPU seconds, not from the time. The embedded
PostgreSQL has no TLS; any other that is installed will do.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import trustme
from house import House
from measure import CpuMeter, Measurement, Summary, process_tree
from psycopg.conninfo import make_conninfo
from serving import load_of_others
from works import job

from waybill.local.faults.servers import Programs, Server
from waybill.local.sample import create_users

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Setting:
    """Where the source is, how it is reached, and by how many connections it is read."""

    is_apart: bool
    has_tls: bool
    readers: int

    def __str__(self) -> str:
        where = "processors of its own" if self.is_apart else "the worker's processors"
        return f"{where}, {'TLS' if self.has_tls else 'plain'}, {self.readers} reader(s)"


SETTINGS = tuple(
    Setting(is_apart, has_tls, readers)
    for is_apart in (False, True)
    for has_tls in (False, True)
    for readers in (1, 2)
)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compression", choices=["zstd", "gzip"])
    parser.add_argument(
        "--programs", type=Path, required=True, help="where a PostgreSQL with TLS has its programs"
    )
    arguments = parser.parse_args()
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        sys.exit("One processor is not enough to hold a source to others than the worker's.")
    parent = HERE.parent / ".waybill"
    parent.mkdir(exist_ok=True)
    found: dict[Setting, list[Measurement]] = defaultdict(list)
    with (
        tempfile.TemporaryDirectory(prefix="elsewhere-", dir=parent) as directory,
        # PostgreSQL's account has to come there.
        tempfile.TemporaryDirectory(prefix="waybill-elsewhere-", dir="/var/tmp") as theirs,
        House.opened(Path(directory), (arguments.users,), "elsewhere") as house,
        _source(Programs(arguments.programs), Path(theirs)) as source,
    ):
        create_users(source.dsn(), arguments.users, table=f"users_{arguments.users}")
        work = job("csv", arguments.compression)
        for number in range(arguments.rounds + 1):
            for setting in SETTINGS:
                with _as_set(house, source, setting, processors):
                    meter = CpuMeter({"source": [_pid(source)]})
                    measured = work(house, arguments.users)
                    measured.cpu.update(meter.stop())
                # The first round fills the caches.
                if number:
                    found[setting].append(measured)
                    print(f"  {setting}: {measured.seconds:.2f} s; {load_of_others()}", flush=True)
    for setting, runs in found.items():
        seconds = Summary.of([each.seconds for each in runs])
        cpu = ", ".join(
            f"{name} {Summary.of([each.cpu[name] for each in runs]).median:.2f}"
            for name in ("source", "worker", "s3")
        )
        print(
            f"{setting}: {seconds.median:.2f} s ({seconds.minimum:.2f} to {seconds.maximum:.2f}); "
            f"CPU s: {cpu}",
            flush=True,
        )


@contextlib.contextmanager
def _source(programs: Programs, directory: Path) -> Iterator[Server]:
    certificate = trustme.CA().issue_cert("127.0.0.1")
    directory.chmod(0o755)
    with Server(programs, directory / "source") as server:
        server.make("--encoding=UTF8")
        chain, key = server.data / "server.crt", server.data / "server.key"
        certificate.cert_chain_pems[0].write_to_path(chain)
        certificate.private_key_pem.write_to_path(key)
        owner = server.data.stat()
        for path in (chain, key):
            path.chmod(0o600)
            os.chown(path, owner.st_uid, owner.st_gid)
        server.start("ssl=on", "shared_buffers=512MB")
        yield server


def _pid(server: Server) -> int:
    return int((server.data / "postmaster.pid").read_text().split()[0])


@contextlib.contextmanager
def _as_set(
    house: House, source: Server, setting: Setting, processors: Sequence[int]
) -> Iterator[None]:
    """Have the service run as ``setting`` says for the block."""
    mode = "require" if setting.has_tls else "disable"
    dsn = make_conninfo(source.dsn(), sslmode=mode)
    half = len(processors) // 2
    own, others = (processors[:half], processors[half:]) if setting.is_apart else (processors,) * 2
    for group in (_pid(source), house.stack.seaweedfs.process.pid):
        _hold(group, others)
    with _environment(
        WAYBILL_SOURCE_DSN_ELSEWHERE=dsn, WAYBILL_SOURCE_READERS=str(setting.readers)
    ):
        house.stop_service()
        for process in (house.service().processes.worker, house.service().processes.api):
            _hold(process.pid, own)
        yield


def _hold(pid: int, processors: Sequence[int]) -> None:
    """Let a process, its children and all their threads run on these processors alone."""
    for process in process_tree(pid):
        for thread in process.threads():
            with contextlib.suppress(ProcessLookupError):
                os.sched_setaffinity(thread.id, processors)


@contextlib.contextmanager
def _environment(**values: str) -> Iterator[None]:
    former = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in former.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


if __name__ == "__main__":
    main()
