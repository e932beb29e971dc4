"""Brokers as people have them: demoted, full, unable to save, guarded, shared, behind Sentinel or
TLS; and those that waybill refuses. One service each time, and a job that comes to its end."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from celery import Celery, bootsteps

from waybill.api.serve import serve
from waybill.bootstrap.everything import Services
from waybill.catalog import Catalog
from waybill.errors import ConfigurationError, QueueUnavailable, WorkerFailed
from waybill.jobs.celery_app import create_celery
from waybill.jobs.messages import QUEUE_NAME
from waybill.jobs.queue import ExportQueue
from waybill.jobs.queue_name import read_queue_name
from waybill.local.certificates import CA_FILE, ensure_certificate
from waybill.local.faults.brokers import Broker
from waybill.local.faults.tcp_proxy import TcpProxy
from waybill.local.ports import LOOPBACK
from waybill.local.service_stack import settings_of
from waybill.local.services import ServiceProcesses
from waybill.local.stack import LocalStack
from waybill.local.testing import temporary_database
from waybill.run.shutdown import ShutdownFlag
from waybill.worker.main import _worker_class, run_to_end, run_worker
from waybill.worker.scheduler import run_scheduler

_TOKEN = "broker-token"
_SECONDS = 60.0


class House:
    """A whole service on a broker of the test's own."""

    def __init__(self, processes: ServiceProcesses, dsn: str, broker: Broker) -> None:
        self.processes = processes
        self.dsn = dsn
        self.broker = broker
        self.client = httpx.Client(
            base_url=processes.url, headers={"Authorization": f"Bearer {_TOKEN}"}, timeout=30
        )

    def request(self) -> str:
        answer = self.client.post("/api/users/export")
        assert answer.status_code == 202, answer.text
        return str(answer.headers["location"])

    def wait_completed(self, job: str) -> None:
        wait_until(lambda: self.client.get(job).json()["status"] == "completed", "it completes")

    def broker_says(self) -> str:
        answer = self.client.get("/readyz")
        assert answer.status_code == 200  # requests are accepted all the same
        said = answer.json()
        assert said["status"] == ("ready" if said["checks"]["broker"] == "ok" else "degraded")
        return str(said["checks"]["broker"])


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"Not within {_SECONDS:g} s: {what}"
        time.sleep(0.05)


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="brokers-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def house_catalog(directory: Path) -> Path:
    catalog = directory / "waybill.toml"
    catalog.write_text('[exports.users]\ntable = "public.users"\nkey = "id"\n', encoding="utf-8")
    return catalog


@pytest.fixture(scope="module")
def house(
    local_stack: LocalStack, template: str, directory: Path, house_catalog: Path
) -> Iterator[House]:
    """A whole service, whose broker saves to disk, but not by itself."""
    with (
        Broker(directory / "broker", {"save": "3600 1000000"}) as broker,
        temporary_database(local_stack, template) as dsn,
    ):
        environment = {
            **local_stack.as_environment(),
            "WAYBILL_DATABASE_URL": dsn,
            "WAYBILL_SOURCE_DSN": dsn,
            "WAYBILL_REDIS_URL": broker.url(),
            "WAYBILL_S3_PREFIX": directory.name,
            "WAYBILL_CATALOG": str(house_catalog),
            "WAYBILL_DEVELOPMENT_TOKEN": _TOKEN,
            "WAYBILL_QUOTA_PER_DAY": "unlimited",
        }
        with ServiceProcesses(
            environment, log_dir=directory, guard=local_stack.guard, concurrency=1
        ) as processes:
            yield House(processes, dsn, broker)


def _demote(broker: Broker) -> None:
    broker.client().execute_command("REPLICAOF", LOOPBACK, "1")


def _promote(broker: Broker) -> None:
    broker.client().execute_command("REPLICAOF", "NO", "ONE")


def _fill(broker: Broker) -> None:
    broker.client().config_set("maxmemory", 1)


def _empty(broker: Broker) -> None:
    broker.client().config_set("maxmemory", 0)


def _break_disk(broker: Broker) -> None:
    (broker.directory / "dump.rdb" / "in the way").mkdir(parents=True)
    broker.client().bgsave()
    wait_until(
        lambda: broker.client().info("persistence")["rdb_last_bgsave_status"] == "err",
        "the save fails",
    )


def _mend_disk(broker: Broker) -> None:
    shutil.rmtree(broker.directory / "dump.rdb")
    broker.client().bgsave()


def _ask_for_password(broker: Broker) -> None:
    broker.client().config_set("requirepass", "another")
    broker.client(password="another").client_kill_filter(_type="normal")


def _ask_for_none(broker: Broker) -> None:
    broker.client(password="another").config_set("requirepass", "")


def _forbid(broker: Broker) -> None:
    broker.client().acl_setuser(
        "default", enabled=True, nopass=True, commands=["-lpush", "-rpush", "-brpop"]
    )


def _allow(broker: Broker) -> None:
    broker.client().acl_setuser("default", enabled=True, nopass=True, commands=["+@all"])


@pytest.mark.parametrize(
    ("hurt", "heal"),
    [
        pytest.param(_demote, _promote, id="READONLY after a failover"),
        pytest.param(_fill, _empty, id="OOM"),
        pytest.param(_break_disk, _mend_disk, id="MISCONF"),
        pytest.param(_ask_for_password, _ask_for_none, id="NOAUTH"),
        pytest.param(_forbid, _allow, id="NOPERM"),
        pytest.param(Broker.kill, Broker.start, id="restarted"),
    ],
)
def test_broker_that_refuses_is_said_and_the_same_worker_goes_on_when_it_is_back(
    house: House, hurt: Callable[[Broker], None], heal: Callable[[Broker], None]
) -> None:
    worker = house.processes.worker.pid
    hurt(house.broker)
    job = house.request()
    said = house.broker_says()
    heal(house.broker)
    house.wait_completed(job)
    house.wait_completed(house.request())
    assert said != "ok"
    assert house.broker_says() == "ok"
    house.processes.raise_if_exited()
    assert house.processes.worker.pid == worker


def test_services_on_one_redis_take_nothing_from_each_other(
    house: House, local_stack: LocalStack, template: str
) -> None:
    with temporary_database(local_stack, template) as dsn:
        other = queue_at(local_stack, dsn, house.broker.url(), read_queue_name(dsn))
        other._publish(UUID(int=7))
        house.wait_completed(house.request())  # its worker took what there was for it
        assert house.broker.client().llen(other.keys().queue) == 1
        assert next_id(other) == UUID(int=7)


# -- in this process ---------------------------------------------------------------------------


def queue_at(
    stack: LocalStack, dsn: str, url: str, name: str = QUEUE_NAME, **settings: Any
) -> ExportQueue:
    """A queue as a service would have it there."""
    there = settings_of(stack, database_url=dsn, redis_url=url, **settings)
    return ExportQueue(lambda: create_celery(there, name))


def next_id(queue: ExportQueue) -> UUID:
    """Take a message as a worker does, and acknowledge it."""
    app = queue._celery
    found: list[Any] = []
    with app.connection_for_read() as connection:
        consumer = connection.Consumer(app.amqp.queues[queue.keys().queue], accept=["json"])
        consumer.register_callback(lambda body, message: (found.append(body), message.ack()))
        with consumer:
            connection.drain_events(timeout=20)
    return UUID(found[0][0][0])


def test_broker_that_is_away_keeps_nobody_waiting(local_stack: LocalStack, database: str) -> None:
    # kombu would come back for ever, and with it the request.
    queue = queue_at(local_stack, database, f"redis://{LOOPBACK}:1/0")
    with pytest.raises(QueueUnavailable, match="Connection"):
        queue._publish(UUID(int=1))
    with pytest.raises(QueueUnavailable, match="Connection"):
        queue._warm_up()
    with pytest.raises(QueueUnavailable, match="Connection"):
        queue._ask(queue._write)


@pytest.fixture
def program(
    kind: str,
    find_program: Callable[[str, str], str],
    find_neighbour: Callable[[str, str], str],
) -> str | None:
    """The server of a kind; ``None`` for the wheel's Valkey."""
    if kind == "Valkey 9":
        return None
    if kind == "Redis 7":
        return find_program("redis-server", "redis-server")
    return find_neighbour(kind.replace("Redis ", "redis-"), "redis-server")


KINDS = ["Valkey 9", "Redis 6", "Redis 7", "Redis 8"]


def test_worker_tells_nothing_to_the_monitor_of_an_application(house: House) -> None:
    """Celery's events would go to a channel that all applications on a broker share."""
    house.wait_completed(house.request())
    said = house.broker.client().info("commandstats")
    assert "cmdstat_brpop" in said
    assert "cmdstat_publish" not in said


@pytest.mark.cell("Redis 6", "plain", "ACL")
@pytest.mark.cell("Redis 7", "plain", "ACL")
@pytest.mark.cell("Redis 8", "plain", "ACL")
@pytest.mark.cell("Valkey 9", "plain", "ACL")
@pytest.mark.parametrize("kind", KINDS)
def test_user_with_its_own_keys_alone_is_enough(
    local_stack: LocalStack, database: str, directory: Path, program: str | None, kind: str
) -> None:
    rights = f"on >p/w@ ~{QUEUE_NAME}* resetchannels +@all -@admin -@dangerous"
    own = {"user export": rights}
    with Broker(directory / f"acl-{kind[-1]}", own, program=program) as broker:
        anybody = queue_at(local_stack, database, broker.url())
        anybody._publish(UUID(int=2))
        assert next_id(anybody) == UUID(int=2)
        queue = queue_at(local_stack, database, broker.url("export:p%2Fw%40@"))
        queue._publish(UUID(int=1))
        assert next_id(queue) == UUID(int=1)
        queue._ask(queue._write)
        wrong = queue_at(local_stack, database, broker.url("export:wrong@"))
        with pytest.raises(QueueUnavailable, match=r"WRONGPASS|Authentication"):
            wrong._publish(UUID(int=1))


@pytest.mark.cell("Redis 6", "Sentinel")
@pytest.mark.cell("Redis 7", "Sentinel", "Sentinel by TLS")
@pytest.mark.cell("Redis 8", "Sentinel")
@pytest.mark.cell("Valkey 9", "Sentinel")
@pytest.mark.parametrize("kind", KINDS)
def test_failover_by_sentinel_is_followed(
    local_stack: LocalStack,
    database: str,
    directory: Path,
    program: str | None,
    kind: str,
    request: pytest.FixtureRequest,
) -> None:
    # Of these, Debian's Redis alone was built with TLS: its servers and Sentinel speak that alone.
    tls = request.getfixturevalue("certificates") if kind == "Redis 7" else None
    own: dict[str, Any] = {"program": program, "certificates": tls}
    place = directory / f"sentinel-{kind[-1]}"
    password = {"requirepass": "pw", "masterauth": "pw"}
    with (
        Broker(place / "first", password, **own) as first,
        Broker(
            place / "second", {**password, "replicaof": f"{LOOPBACK} {first.port}"}, **own
        ) as second,
        Broker(
            place / "sentinel",
            {
                "sentinel monitor ours": f"{LOOPBACK} {first.port} 1",
                "sentinel auth-pass ours": "pw",
                # Sentinels have users of their own; another's name and the master's password are
                # none of theirs.
                "user default": "off",
                "user asker": "on >s3cret +@all",
                "sentinel failover-timeout ours": 3000,
            },
            sentinel=True,
            **own,
        ) as sentinel,
    ):
        follower = second.client(password="pw")
        wait_until(lambda: follower.info("replication")["master_link_status"] == "up", "it follows")
        knows = sentinel.client(username="asker", password="s3cret")
        wait_until(lambda: knows.sentinel_slaves("ours") != [], "Sentinel knows both")
        # The first Sentinel of the two is not there.
        there = f"sentinel{'s' if tls else ''}://:pw@{LOOPBACK}:1,{LOOPBACK}:{sentinel.port}"
        trust = f"?ssl_ca_certs={tls}/{CA_FILE}" if tls else ""
        theirs = {"redis_sentinel_username": "asker", "redis_sentinel_password": "s3cret"}
        url = f"{there}/0{trust}"
        queue = queue_at(local_stack, database, url, redis_master_name="ours", **theirs)
        # Other databases: kombu keeps pools by address.
        stranger = queue_at(local_stack, database, f"{there}/1{trust}", redis_master_name="ours")
        with pytest.raises(QueueUnavailable, match="MasterNotFound"):
            stranger._publish(UUID(int=1))
        if tls:  # an authority that nobody named is not believed, a Sentinel's neither
            doubtful = queue_at(
                local_stack, database, f"{there}/2", redis_master_name="ours", **theirs
            )
            with pytest.raises(QueueUnavailable, match="MasterNotFound"):
                doubtful._publish(UUID(int=1))
        queue._publish(UUID(int=1))
        assert next_id(queue) == UUID(int=1)
        # Not before: on a busy machine it would take who is slow for who is away.
        knows.sentinel_set("ours", "down-after-milliseconds", 500)
        first.kill()
        with pytest.raises(QueueUnavailable):
            queue._publish(UUID(int=2))
        wait_until(lambda: follower.info("replication")["role"] == "master", "it is promoted")
        knows.sentinel_set("ours", "down-after-milliseconds", 60_000)

        def publishes() -> bool:
            with contextlib.suppress(QueueUnavailable):
                queue._publish(UUID(int=3))
                return True
            return False

        wait_until(publishes, "the publisher follows")
        assert next_id(queue) == UUID(int=3)


def test_publisher_leaves_a_demoted_master_for_the_one_behind_the_same_address(
    local_stack: LocalStack, database: str, directory: Path
) -> None:
    with (
        Broker(directory / "old") as old,
        Broker(directory / "new") as new,
        TcpProxy(old.port) as proxy,
    ):
        queue = queue_at(local_stack, database, f"redis://{LOOPBACK}:{proxy.port}/0")
        queue._publish(UUID(int=1))
        _demote(old)
        proxy.target_port = new.port  # connections there are stay where they are
        with pytest.raises(QueueUnavailable, match="ReadOnlyError"):
            queue._publish(UUID(int=2))
        queue._publish(UUID(int=3))
        assert new.client().llen(QUEUE_NAME) == 1


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"-ERR no\r\n"])
def test_whatever_a_broker_answers_is_no_more_than_a_broker_away(
    local_stack: LocalStack, database: str, answer: bytes
) -> None:
    with _Liar(answer) as port:
        queue = queue_at(local_stack, database, f"redis://{LOOPBACK}:{port}/0")
        with pytest.raises(QueueUnavailable):
            queue._publish(UUID(int=1))
        with pytest.raises(QueueUnavailable):
            queue._ask(queue._write)


@contextlib.contextmanager
def _Liar(answer: bytes) -> Iterator[int]:  # noqa: N802 - reads as what it is
    """Something that is no Redis: answers each piece it is sent with ``answer``."""
    import socketserver
    import threading

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                while self.request.recv(65_536):
                    if not answer:
                        return
                    self.request.sendall(answer)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


async def test_unmigrated_or_absent_database_is_no_more_than_a_queue_away(
    settings: Any, catalog: Catalog
) -> None:
    away = settings.model_copy(
        update={"database_url": type(settings.database_url)("postgresql://nobody@127.0.0.1:1/x")}
    )
    async with Services(away, catalog=catalog) as services:
        with pytest.raises(QueueUnavailable, match="OperationalError"):
            await services.queue.publish(UUID(int=1))


def test_cluster_is_refused_by_name(
    local_stack: LocalStack, database: str, directory: Path, house_catalog: Path
) -> None:
    with Broker(directory / "cluster", {"cluster-enabled": "yes"}) as broker:
        settings = settings_of(
            local_stack,
            database_url=database,
            redis_url=broker.url(),
            catalog=str(house_catalog),
        )
        for start in (run_worker, run_scheduler, lambda s: serve(s, host=LOOPBACK, port=0)):
            with pytest.raises(ConfigurationError, match=r"Redis Cluster \(cluster_enabled:1\)"):
                start(settings)


@pytest.mark.filterwarnings("ignore:You.re running the worker")
def test_worker_that_ends_by_itself_ends_with_an_error(directory: Path) -> None:
    class Broken(bootsteps.StartStopStep):
        def start(self, parent: Any) -> None:
            raise RuntimeError("nobody expected this")

    app = Celery("broken", broker="memory://", set_as_current=False)
    app.steps["worker"].add(Broken)
    flag = ShutdownFlag()
    worker = _worker_class(app, flag)(pool_cls="solo", quiet=True, loglevel="CRITICAL")
    with pytest.raises(WorkerFailed):
        run_to_end(worker, flag)


@pytest.fixture(scope="module")
def certificates(directory: Path) -> Path:
    """A directory with a certificate of an authority of our own."""
    certificates = directory / "certificates"
    certificates.mkdir()
    ensure_certificate(certificates)
    return certificates


@pytest.fixture(scope="module")
def guarded_by_tls(
    directory: Path, certificates: Path, find_program: Callable[[str, str], str]
) -> Iterator[Broker]:
    """Debian's Redis with such a certificate: the wheel's Valkey has no TLS."""
    program = find_program("redis-server", "redis-server")
    with Broker(directory / "tls", program=program, certificates=certificates) as broker:
        yield broker


@pytest.mark.cell("Redis 7", "TLS")
def test_certificate_of_rediss_is_verified(
    guarded_by_tls: Broker, local_stack: LocalStack, database: str, directory: Path
) -> None:
    def publish(database_number: int, options: str) -> None:
        # kombu keeps pools by address: each case has a database of its own.
        url = f"rediss://{LOOPBACK}:{guarded_by_tls.port}/{database_number}{options}"
        queue_at(local_stack, database, url)._publish(UUID(int=1))

    with pytest.raises(QueueUnavailable, match=r"SSL|ConnectionError"):
        publish(1, "")
    publish(2, f"?ssl_ca_certs={directory}/certificates/{CA_FILE}")
    publish(3, "?ssl_cert_reqs=none")
