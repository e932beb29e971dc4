"""The Celery application. Each setting with its reason: Celery's defaults on Redis lose or
repeat work in ways that were measured, and the rest of waybill relies on what stands here."""

from __future__ import annotations

import sys
from typing import Any

from celery import Celery, signals
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.jobs.broker import read_address
from waybill.jobs.messages import QUEUE_NAME, QueueKeys

# Above any deadline: a shorter one redelivers a message whose task still runs. (It would be
# harmless here, as the lease refuses it, but it is noise. A crash is mended by the sweeper in
# seconds, never by this.)
_VISIBILITY_TIMEOUT_SECONDS = 6 * 3600
VISIBILITY_TIMEOUT_SECONDS = _VISIBILITY_TIMEOUT_SECONDS

SOFT_SHUTDOWN_SECONDS = 25.0
"""How long a worker that is told to stop has to give its exports back."""

_CHILD_KIB = 256 * 1024


def create_celery(settings: Settings, queue: str = QUEUE_NAME) -> Celery:
    """Return the application, configured; nothing connects before it is used.

    Args:
        settings: where the broker is.
        queue: this service's own (``queue_name.read_queue_name``).

    Raises:
        ConfigurationError: the broker is none that waybill can guard.
    """
    address = read_address(settings.redis_url.get_secret_value(), settings.redis_master_name)
    transport = "GuardedSentinelTransport" if address.sentinels else "GuardedTransport"
    app = Celery("waybill", broker=address.url, set_as_current=False, fixups=_fixups())
    app.conf.update(
        # Named here, as the scheme of the address would bring kombu's own, which trusts whatever
        # lies in the queue.
        broker_transport=f"waybill.jobs.transport:{transport}",
        # kombu takes any certificate; we do if the address says so (?ssl_cert_reqs=none).
        broker_use_ssl=address.tls,
        task_default_queue=queue,
        # The database row is the result. A result backend would be a second truth.
        task_ignore_result=True,
        result_backend=None,
        # Ack after the work, and give the message back when a child dies: without the second, a
        # child killed by the kernel is acked and lost. Unbounded redelivery is harmless, as the
        # claim counts attempts before any work.
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        # A message reserved behind a long export would wait for it while other workers idle.
        worker_prefetch_multiplier=1,
        worker_pool="prefork",
        worker_concurrency=settings.worker_concurrency,
        # Bounds whatever a library leaks over weeks that is no memory, which has its own bound
        # below. A new process costs as much CPU as a dozen small exports before it has warmed up.
        worker_max_tasks_per_child=1_000,
        # A process keeps what its largest export needed, so one that has grown is replaced after
        # its export. One format alone does not bring it there, a mixture does (docs/benchmarks.md).
        worker_max_memory_per_child=_CHILD_KIB,
        # How long a child may take to say that it is there: it connects first (at most 2 s), and
        # the default of 4 s is short for a machine under load.
        worker_proc_alive_timeout=30.0,
        worker_hijack_root_logger=False,
        # A broker that blinks must not end an export that does not need it.
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_soft_shutdown_timeout=SOFT_SHUTDOWN_SECONDS,
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        # None: for ever. A worker that gives up is a worker somebody has to restart.
        broker_connection_max_retries=None,
        broker_connection_timeout=5.0,
        broker_transport_options={
            "visibility_timeout": VISIBILITY_TIMEOUT_SECONDS,
            # Unacked messages of dead workers are looked for every 10 s; with the defaults one
            # came back after 101 s, with these after seconds.
            "unacked_restore_interval": 10,
            "unacked_restore_throttle": 1,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 25,
            # Of what is not the consumer, which comes back for ever (above): kombu's default is for
            # ever too, so that a request would hang, and each look at readiness keep its thread.
            "max_retries": 0,
            "queue_name": queue,
            "sentinels": address.sentinels,
            "master_name": address.master_name,
            # Named, so that they are not the master's, which the address has.
            "sentinel_username": settings.redis_sentinel_username,
            "sentinel_password": settings.redis_sentinel_password,
            **QueueKeys(queue).unacked,
        },
        # Ids as JSON, and nothing else: a pickle in a queue is code execution.
        task_serializer="json",
        accept_content=["json"],
        enable_utc=True,
        timezone="UTC",
    )
    return app


def keep_our_logging() -> None:
    """Keep Celery from replacing our logging: it leaves that to whoever listens to this signal."""
    signals.setup_logging.connect(_leave_logging, weak=False)


def _leave_logging(**_: Any) -> None:
    pass


def refuse_cluster(app: Celery) -> None:
    """Refuse Redis Cluster. A broker that does not answer, or not that, is left to be found out.

    Raises:
        ConfigurationError: the broker is one.
    """
    try:
        with app.connection_for_write() as connection:
            facts = connection.default_channel.client.info("cluster")
    except (KombuError, RedisError, OSError):
        return
    if int(facts.get("cluster_enabled", 0)):
        raise ConfigurationError(
            "WAYBILL_REDIS_URL leads to a Redis Cluster (cluster_enabled:1), on which no queue of "
            "Celery's works: its keys lie on several servers. Give waybill one Redis or Valkey, "
            "or one with replicas behind Sentinel (sentinel://…)."
        )


def _fixups() -> list[str] | None:
    """Return Celery's own for a process that is Django's already, and none for others: a variable
    of the host's in the environment (``DJANGO_SETTINGS_MODULE``) makes no Django project of ours,
    which would have to be importable."""
    django = sys.modules.get("django.conf")
    return None if django is not None and django.settings.configured else []
