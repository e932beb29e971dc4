"""Another user of the machine on which `waybill local` runs reaches for what is in it: through
every port, and, where the tests run as root, really as another user, through files and
processes."""

from __future__ import annotations

import json
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis

from waybill.local.binaries import weed_binary
from waybill.local.data_directory import Credentials
from waybill.local.ports import LOOPBACK
from waybill.local.stack import BUCKET, LocalStack

SECRET = b"every-row-of-an-export"
# Whom programs that drop root's rights become, on every machine: the likeliest neighbour.
_STRANGER = 65_534
_IS_ROOT = os.geteuid() == 0


@pytest.fixture(scope="module")
def stack(local_stack: LocalStack) -> LocalStack:
    local_stack.seaweedfs.client().put_object(Bucket=BUCKET, Key="attack/file", Body=SECRET)
    return local_stack


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[Callable[..., subprocess.CompletedProcess[bytes]]]:
    """Run a program as somebody with nothing of ours: an empty home, and no user rights of ours."""
    home = Path(tempfile.mkdtemp(prefix="stranger-"))
    home.chmod(0o777)
    identity = {"user": _STRANGER, "group": _STRANGER, "extra_groups": ()} if _IS_ROOT else {}

    def run(
        *command: str, seconds: float = 20, said: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                command,
                cwd=home,
                env={"PATH": os.environ["PATH"], "HOME": str(home)},
                input=said,
                capture_output=True,
                timeout=seconds,
                check=False,
                **identity,  # type: ignore[call-overload]
            )
        except subprocess.TimeoutExpired as exc:
            return subprocess.CompletedProcess(command, 124, exc.stdout or b"", exc.stderr or b"")

    yield run
    assert SECRET not in b"".join(
        each.read_bytes() for each in home.rglob("*") if each.is_file() and each.name != "weed"
    )
    shutil.rmtree(home)


def internal_ports(stack: LocalStack) -> dict[str, int]:
    names = stack.seaweedfs.port_names
    return {name: stack.seaweedfs.port(name) for name in names if name != "s3"}


@pytest.fixture(scope="module")
def weed() -> Iterator[str]:
    # Where everybody can run it.
    directory = Path(tempfile.mkdtemp(prefix="weed-"))
    directory.chmod(0o755)
    program = directory / "weed"
    shutil.copy(weed_binary(), program)
    program.chmod(0o755)
    yield str(program)
    shutil.rmtree(directory)


@pytest.mark.parametrize(
    "arguments",
    [
        ("backup", "-server={master}", "-dir=.", "-volumeId=1"),
        ("backup", "-server={master}", "-dir=.", "-collection=waybill", "-volumeId=3"),
        ("filer.cat", "http://{filer}/buckets/waybill/attack/file"),
        ("filer.backup", "-filer={filer}"),
        ("filer.meta.tail", "-filer={filer}", "-timeAgo=1h"),
        ("download", "-server={master}", "1,01"),
        ("upload", "-master={master}", "/etc/hostname"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_tools_of_the_storage_get_nothing_from_its_ports(
    stack: LocalStack,
    weed: str,
    stranger: Callable[..., subprocess.CompletedProcess[bytes]],
    arguments: tuple[str, ...],
) -> None:
    ports = internal_ports(stack)
    # "host:http.grpc" is how its tools are told both.
    addresses = {
        part: f"{LOOPBACK}:{ports[f'seaweedfs_{part}']}.{ports[f'seaweedfs_{part}_grpc']}"
        for part in ("master", "filer", "volume")
    }
    result = stranger(weed, *(each.format(**addresses) for each in arguments), seconds=6)
    assert SECRET not in result.stdout + result.stderr


def test_shell_of_the_storage_lists_nothing(
    stack: LocalStack, weed: str, stranger: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    ports = internal_ports(stack)
    master = f"{LOOPBACK}:{ports['seaweedfs_master']}.{ports['seaweedfs_master_grpc']}"
    # Not through a shell, whose child would outlive it.
    result = stranger(weed, "shell", f"-master={master}", seconds=6, said=b"volume.list\n")
    assert b"collection:" not in result.stdout + result.stderr
    assert b"attack" not in result.stdout + result.stderr


@pytest.mark.parametrize("tls", [False, True])
def test_every_port_but_that_of_signed_requests_asks_for_our_certificate(
    stack: LocalStack, tls: bool
) -> None:
    for name, port in internal_ports(stack).items():
        with socket.create_connection((LOOPBACK, port), timeout=5) as plain:
            answer = b""
            try:
                connection = plain
                if tls:
                    context = ssl.create_default_context()
                    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                    context.set_alpn_protocols(["h2", "http/1.1"])
                    connection = context.wrap_socket(plain)
                connection.sendall(b"GET /dir/status HTTP/1.0\r\n\r\n")
                answer = connection.recv(65_536)
            except OSError:
                continue
            assert not answer or b"HTTPS server" in answer or answer[3:4] == b"\x04", (name, answer)


def test_object_without_a_signature_is_refused(stack: LocalStack) -> None:
    from urllib.error import HTTPError
    from urllib.request import ProxyHandler, build_opener

    opener = build_opener(ProxyHandler({}))
    for path in ("", f"/{BUCKET}", f"/{BUCKET}/attack/file", "/buckets/waybill/attack/file"):
        with pytest.raises(HTTPError, match="403"):
            opener.open(f"{stack.addresses.s3_endpoint_url}{path}")


def test_database_and_broker_ask_for_their_passwords(stack: LocalStack) -> None:
    port = stack.postgres.port("postgres")
    for password in ("", "waybill", "postgres"):
        for user in ("waybill", "postgres"):
            with pytest.raises(psycopg.OperationalError, match=r"no password|authentication"):
                psycopg.connect(f"host={LOOPBACK} port={port} user={user} password='{password}'")
    with (
        redis.Redis(host=LOOPBACK, port=stack.valkey.port("redis")) as client,
        pytest.raises(redis.AuthenticationError),
    ):
        client.keys()


def test_command_lines_and_the_environments_others_can_read_hold_no_secret(
    stack: LocalStack,
) -> None:
    credentials: Credentials = stack._directory.credentials()
    secrets = {
        credentials.postgres_password,
        credentials.redis_password,
        credentials.s3_secret_key,
        credentials.seaweedfs_signing_key,
    }
    seen = 0
    for process in psutil.Process().children(recursive=True):
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        seen += 1
        assert not any(secret in line for secret in secrets), process.name()
    assert seen >= 4


def test_files_of_the_stack_are_closed_to_others(stack: LocalStack) -> None:
    assert stack.data_dir.stat().st_mode & 0o077 == 0
    for name in ("credentials.json", "ports.json", "processes.json", "lock"):
        assert (stack.data_dir / name).stat().st_mode & 0o077 == 0, name
    for path in (stack.data_dir / "seaweedfs").iterdir():
        assert path.stat().st_mode & 0o077 == 0, path.name


@pytest.mark.skipif(not _IS_ROOT, reason="only root can act as another user")
def test_another_user_reads_no_file_through_any_process(
    stack: LocalStack, stranger: Callable[..., subprocess.CompletedProcess[bytes]]
) -> None:
    # PostgreSQL refuses root, and must not become one whom others become as well.
    pids = [process.pid for process in psutil.Process().children(recursive=True)]
    script = f"""
import json, os
found = []
def look(path):
    try:
        found.extend(os.path.join(path, name) for name in os.listdir(path))
    except OSError:
        pass
look({str(stack.data_dir)!r})
for pid in {pids}:
    look(f"/proc/{{pid}}/cwd")
    look(f"/proc/{{pid}}/fd")
    for name in ("environ", "maps"):
        try:
            with open(f"/proc/{{pid}}/{{name}}", "rb") as file:
                if file.read(1):
                    found.append(f"{{pid}}/{{name}}")
        except OSError:
            pass
print(json.dumps(found))
"""
    result = stranger("/usr/bin/env", "python3", "-c", script)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == []
