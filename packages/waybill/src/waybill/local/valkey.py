"""The embedded Valkey, a Redis: a password, an append-only file, and nothing ever evicted."""

from __future__ import annotations

import redis

from waybill.local.binaries import valkey_binary
from waybill.local.ports import LOOPBACK
from waybill.local.process import SupervisedProcess
from waybill.local.service import Service, ServiceContext, service_environment
from waybill.private_files import write_private

_CONNECT_SECONDS = 5


class ValkeyService(Service):
    """Valkey."""

    name = "valkey"
    port_names = ("redis",)

    def __init__(self, context: ServiceContext) -> None:
        super().__init__(context)
        self._program = valkey_binary()

    def url(self, database: int = 0) -> str:
        """The URL of a numbered database; contains the password."""
        password = self._context.credentials.redis_password
        return f"redis://:{password}@{LOOPBACK}:{self.port('redis')}/{database}"

    def _prepare(self) -> None:
        pass

    def _make_process(self) -> SupervisedProcess:
        settings = {
            "bind": LOOPBACK,
            "port": self.port("redis"),
            "protected-mode": "yes",
            # In a file, not among the arguments: those can be read by every user of the machine.
            "requirepass": self._context.credentials.redis_password,
            "dir": ".",
            "appendonly": "yes",
            # A second of messages may be lost to a crash of the machine; the sweeper finds them.
            "appendfsync": "no" if self._context.fast else "everysec",
            "save": '""',
            # A queue must refuse what it cannot hold, never drop what it holds.
            "maxmemory-policy": "noeviction",
            "databases": 64,
            "daemonize": "no",
            "shutdown-timeout": 1,
        }
        text = "".join(f"{name} {value}\n" for name, value in settings.items())
        write_private(self.directory / "valkey.conf", text)
        return SupervisedProcess(
            self.name,
            # The names are relative: the file's syntax has no way to write any path there is.
            [self._program, "valkey.conf"],
            log_path=self.log_path,
            guard=self._context.guard,
            cwd=self.directory,
            env=service_environment(self.directory),
        )

    def _missing(self) -> str | None:
        client = redis.Redis.from_url(
            self.url(),
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_CONNECT_SECONDS,
            retry=None,
        )
        try:
            client.ping()
        except (redis.ConnectionError, redis.TimeoutError, OSError):
            return "does not answer PING"  # includes BusyLoadingError: the file is being read
        finally:
            client.close()
        return None
