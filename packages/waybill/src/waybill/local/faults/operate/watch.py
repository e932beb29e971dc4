"""Prometheus and Alertmanager as Debian has them, with short windows, and who is told."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

from waybill.local.ports import LOOPBACK, draw_free_port

FASTER: Final = 60
"""A minute of the rules is a second here."""
_READY_SECONDS: Final = 60.0
_SCRAPE: Final = "500ms"
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}
_LONGER: Final = {
    "waybill_sign_in_key_failures_total[10s]": "waybill_sign_in_key_failures_total[40s]",
    "waybill_monitor_timestamp_seconds > 5": "waybill_monitor_timestamp_seconds > 40",
}
"""Windows that another pace than that of the rules bounds: keys are fetched every 10 s at most, and
a look at all jobs takes what it takes on a small machine."""


def shortened(rules: str) -> str:
    """Return rules whose minutes are seconds: windows, waits, and bounds on seconds."""

    def window(found: re.Match[str]) -> str:
        seconds = int(found[2]) * _UNITS[found[3]] / FASTER
        return f"{found[1]}{max(round(seconds), 1)}s"

    text = re.sub(r"(\[|for: )(\d+)([smh])\b", window, rules)
    text = re.sub(
        r"(_seconds > )(\d+)", lambda found: f"{found[1]}{max(int(found[2]) / FASTER, 1):g}", text
    )
    for short, longer in _LONGER.items():
        text = text.replace(short, longer)
    return text


@dataclass(frozen=True, slots=True)
class Told:
    """An alert that arrived."""

    alert: str
    is_firing: bool
    severity: str
    at: float


class Sink:
    """Whom Alertmanager tells."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self._arrived = threading.Condition()
        sink = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                document = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                sink.hear(document["alerts"])
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self.url = f"http://{LOOPBACK}:{self._server.server_port}/"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def hear(self, alerts: list[dict[str, Any]]) -> None:
        with self._arrived:
            for each in alerts:
                labels = each["labels"]
                is_firing = each["status"] == "firing"
                told = Told(labels["alertname"], is_firing, labels["severity"], time.monotonic())
                self.told.append(told)
            self._arrived.notify_all()

    def wait(self, alert: str, *, firing: bool, since: int, within_seconds: float) -> Told | None:
        """Return the first word of an alert behind the first ``since`` ones; ``None``: not in
        time."""

        def found() -> Told | None:
            heard = self.told[since:]
            return next((t for t in heard if (t.alert, t.is_firing) == (alert, firing)), None)

        with self._arrived:
            self._arrived.wait_for(found, within_seconds)
            return found()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Watch:
    """A Prometheus that looks, an Alertmanager that tells."""

    def __init__(self, directory: Path, rules: Path, targets: Mapping[str, int]) -> None:
        self.sink = Sink()
        self._directory = directory
        self._port, self._alertmanager_port = draw_free_port(), draw_free_port()
        (directory / "rules.yml").write_text(shortened(rules.read_text(encoding="utf-8")))
        (directory / "prometheus.yml").write_text(self._config(targets))
        (directory / "alertmanager.yml").write_text(
            json.dumps(
                {
                    "route": {
                        "receiver": "sink",
                        "group_by": ["..."],
                        "group_wait": "0s",
                        "group_interval": "1s",
                        "repeat_interval": "1h",
                    },
                    "receivers": [
                        {
                            "name": "sink",
                            "webhook_configs": [{"url": self.sink.url, "send_resolved": True}],
                        }
                    ],
                }
            )
        )

    def _config(self, targets: Mapping[str, int]) -> str:
        return json.dumps(
            {
                "global": {"scrape_interval": _SCRAPE, "evaluation_interval": _SCRAPE},
                "rule_files": ["rules.yml"],
                "alerting": {
                    "alertmanagers": [
                        {"static_configs": [{"targets": [f"{LOOPBACK}:{self._alertmanager_port}"]}]}
                    ]
                },
                "scrape_configs": [
                    {
                        "job_name": f"waybill-{name}",
                        "static_configs": [{"targets": [f"{LOOPBACK}:{port}"]}],
                    }
                    for name, port in targets.items()
                ],
            }
        )

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run both for the block."""
        commands = (
            [
                "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb",
                f"--web.listen-address={LOOPBACK}:{self._port}",
                # A resolved alert is told at once, and again for as long as nobody forgets it.
                "--rules.alert.resend-delay=1s",
            ],
            [
                "prometheus-alertmanager", "--config.file=alertmanager.yml",
                "--storage.path=alertmanager", "--cluster.listen-address=",
                f"--web.listen-address={LOOPBACK}:{self._alertmanager_port}",
            ],
        )  # fmt: skip
        processes = []
        try:
            for command in commands:
                program = shutil.which(command[0])
                if program is None:
                    raise RuntimeError(f"needs {command[0]}: apt-get install {command[0]}")
                with (self._directory / f"{command[0]}.log").open("ab") as log:
                    # S603: Debian's programs, with arguments of ours.
                    process = subprocess.Popen(  # noqa: S603
                        [program, *command[1:]], cwd=self._directory, stdout=log, stderr=log
                    )
                processes.append(process)
            for port in (self._port, self._alertmanager_port):
                self._wait_ready(port)
            yield
        finally:
            for process in processes:
                process.terminate()
            for process in processes:
                process.wait(30)
            self.sink.close()

    def _wait_ready(self, port: int) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            with contextlib.suppress(OSError):
                self._get(port, "/-/ready")
                return
            if time.monotonic() > deadline:
                raise RuntimeError("Prometheus did not start; see its log.")
            time.sleep(0.1)

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression now.

        Raises:
            RuntimeError: Prometheus does not understand it.
        """
        asked = urllib.parse.urlencode({"query": expression})
        try:
            document = json.loads(self._get(self._port, f"/api/v1/query?{asked}"))
        except urllib.error.HTTPError as exc:
            raise RuntimeError(f"Prometheus refuses {expression!r}: {exc.read()!r}") from exc
        series: list[dict[str, Any]] = document["data"]["result"]
        return series

    def _get(self, port: int, path: str) -> bytes:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{LOOPBACK}:{port}{path}", timeout=10) as answer:
            body: bytes = answer.read()
            return body
