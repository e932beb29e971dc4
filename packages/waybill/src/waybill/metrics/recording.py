"""Counting, in whichever process something happens.

A worker forks: its children count, and its parent is asked. What the children count travels to it
as small datagrams through a socket pair made before the fork. prometheus_client's own way is files
that all processes map into their memory; on a full disk the kernel ends a process that writes to
such a page (SIGBUS), and an export with it. A datagram that finds no room is dropped, and counted.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections import defaultdict
from typing import Any, Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from waybill.metrics.definitions import METRICS, MOST_VALUES, UNHEARD, Kind, Metric

OTHER: Final = "other"
_DATAGRAM_BYTES: Final = 4096
_KINDS: Final[dict[Kind, Any]] = {
    Kind.COUNTER: Counter,
    Kind.GAUGE: Gauge,
    Kind.HISTOGRAM: Histogram,
}


class Recorder(Protocol):
    """Takes what is counted."""

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None: ...


class Figures:
    """The figures of one process, and of the children that tell it; what Prometheus is shown."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._known: dict[tuple[str, str], set[str]] = defaultdict(set)
        # A gauge is there from its first value on: a process that does not look at the queue is not
        # to say that it is empty. Counters begin at 0, so that their first step is seen.
        self._metrics = {
            name: self._make(metric)
            for name, metric in METRICS.items()
            if metric.kind is not Kind.GAUGE
        }

    def _make(self, metric: Metric) -> Any:
        more = {"buckets": metric.buckets} if metric.buckets else {}
        return _KINDS[metric.kind](
            metric.name, metric.help, metric.labels, registry=self.registry, **more
        )

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Add to a counter, set a gauge, or observe."""
        if metric.name not in self._metrics:
            self._metrics[metric.name] = self._make(metric)
        made = self._metrics[metric.name]
        if metric.labels:
            made = made.labels(*(self._bounded(metric, each, labels) for each in metric.labels))
        match metric.kind:
            case Kind.COUNTER:
                made.inc(value)
            case Kind.GAUGE:
                made.set(value)
            case Kind.HISTOGRAM:
                made.observe(value)

    def _bounded(self, metric: Metric, label: str, labels: dict[str, str]) -> str:
        value = labels[label]
        known = self._known[metric.name, label]
        if value not in known:
            if len(known) >= MOST_VALUES:
                return OTHER
            known.add(value)
        return value


class Family:
    """Carries the figures of forked children to their parent. Made before the fork."""

    def __init__(self) -> None:
        self._inlet, self._outlet = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._inlet.setblocking(False)
        self._dropped = 0

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None:
        """Tell the parent, if it has room to hear."""
        if self._dropped and self._send(UNHEARD, self._dropped, {}):
            self._dropped = 0
        if not self._send(metric, value, labels):
            self._dropped += 1

    def _send(self, metric: Metric, value: float, labels: dict[str, str]) -> bool:
        try:
            self._inlet.send(json.dumps([metric.name, value, labels]).encode())
        except OSError:  # full, or the parent has gone
            return False
        return True

    def listen(self, figures: Figures) -> None:
        """Take what the children tell, in a thread of this process."""
        threading.Thread(
            target=self._hear, args=(figures,), name="metrics-family", daemon=True
        ).start()

    def _hear(self, figures: Figures) -> None:
        while True:
            try:
                name, value, labels = json.loads(self._outlet.recv(_DATAGRAM_BYTES))
                figures.record(METRICS[name], value, labels)
            except OSError:
                return
            except (ValueError, KeyError, TypeError):
                continue  # cut off, or a child's that was of another mind


class _Nobody:
    """Where nobody asks, nothing is kept."""

    def record(self, metric: Metric, value: float, labels: dict[str, str]) -> None: ...


_recorder: Recorder = _Nobody()


def use(recorder: Recorder | None) -> None:
    """Send this process's figures there; ``None``: nowhere."""
    global _recorder  # noqa: PLW0603 - one per process, like the log
    _recorder = _Nobody() if recorder is None else recorder


def record(metric: Metric, value: float = 1, **labels: str) -> None:
    """Add to a counter (1 by default), set a gauge, or observe. Never raises."""
    with contextlib.suppress(Exception):
        _recorder.record(metric, value, labels)
