"""Brokers of a test's own: Valkey or Redis with any settings, replicas, Sentinel.

Each listens on a loopback port and stops with its block, by its own process id.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from waybill.local.binaries import valkey_binary
from waybill.local.certificates import CA_FILE, CERTIFICATE_FILE, KEY_FILE
from waybill.local.ports import LOOPBACK, draw_free_port

_READY_SECONDS = 30.0


class Broker:
    """One server in ``directory``.

    Args:
        directory: of its own; made here.
        settings: lines of its configuration beside those below.
        program: Valkey's by default.
        sentinel: run it as a Sentinel.
        certificates: speak TLS alone, with the certificate in this directory
            (``certificates.ensure_certificate``).
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str | int] | None = None,
        *,
        program: str | None = None,
        sentinel: bool = False,
        certificates: Path | None = None,
    ) -> None:
        self.port = draw_free_port()
        self._certificates = certificates
        self.directory = directory
        self._program = program or str(valkey_binary())
        self._options = ["--sentinel"] if sentinel else []
        self._settings = {
            "bind": LOOPBACK,
            "dir": str(directory),
            **({"port": self.port} if certificates is None else self._tls(certificates)),
            **({} if sentinel else {"save": '""', "appendonly": "no"}),
            **(settings or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    def _tls(self, certificates: Path) -> dict[str, str | int]:
        return {
            "port": 0,
            "tls-port": self.port,
            "tls-ca-cert-file": str(certificates / CA_FILE),
            "tls-cert-file": str(certificates / CERTIFICATE_FILE),
            "tls-key-file": str(certificates / KEY_FILE),
            "tls-auth-clients": "no",
            "tls-replication": "yes",  # by which Sentinel speaks to servers, too
        }

    @property
    def _trust(self) -> dict[str, Any]:
        if self._certificates is None:
            return {}
        return {"ssl": True, "ssl_ca_certs": str(self._certificates / CA_FILE)}

    def url(self, credentials: str = "") -> str:
        """Return its address; ``credentials`` as in ``name:password@``."""
        return f"redis://{credentials}{LOOPBACK}:{self.port}/0"

    def client(self, **arguments: Any) -> redis.Redis:
        """Return a client of the test's own."""
        return redis.Redis(port=self.port, socket_timeout=10, **self._trust, **arguments)

    def start(self) -> None:
        """Start, and wait until it answers."""
        path = self.directory / "server.conf"
        if not path.exists():  # Sentinel rewrites its own
            path.write_text("".join(f"{name} {value}\n" for name, value in self._settings.items()))
        with (self.directory / "server.log").open("ab") as log:
            # S603: a server's own program, with arguments of the tests'.
            self._process = subprocess.Popen(  # noqa: S603
                [self._program, str(path), *self._options], stdout=log, stderr=log
            )
        deadline = time.monotonic() + _READY_SECONDS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = (self.directory / "server.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"The broker did not start:\n{said}")
            time.sleep(0.02)

    def _answers(self) -> bool:
        client = redis.Redis(
            port=self.port,
            ssl=self._certificates is not None,
            ssl_cert_reqs="none",
            ssl_check_hostname=False,
            socket_timeout=5,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            client.ping()
        except redis.BusyLoadingError:
            return False
        except (redis.AuthenticationError, redis.ResponseError):
            return True
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        finally:
            client.close()
        return True

    def kill(self) -> None:
        """End it as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_READY_SECONDS)
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
