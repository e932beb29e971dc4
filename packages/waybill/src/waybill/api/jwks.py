"""Verification keys from an issuer's JWKS document (RFC 7517), cached and rotated.

A key that is not known makes the document be fetched again, at most once per
``refetch_seconds`` however many tokens ask for it. While it cannot be fetched the keys at hand stay
in use, for an hour at most: longer than the usual life of a token, and the longest that a key its
issuer withdrew can outlive the withdrawal.
"""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import httpx
from jwt import PyJWK
from jwt.exceptions import PyJWTError

from waybill.api.fetching import BadAnswer, checked_url, fetch
from waybill.errors import AuthenticationRequired
from waybill.log import get_logger
from waybill.metrics.definitions import KEY_FAILURES, KEYS_FETCHED
from waybill.metrics.recording import record

log = get_logger(__name__)

MAX_KEYS: Final = 100
# NIST SP 800-131A; the upper bound keeps one verification from costing milliseconds.
_RSA_BITS: Final = range(2048, 8192 + 1)

_ALGORITHM_OF: Final = {
    ("RSA", None): "RS256",
    ("EC", "P-256"): "ES256",
    ("OKP", "Ed25519"): "EdDSA",
}


class KeysUnavailable(AuthenticationRequired):
    """The issuer's keys cannot be had at the moment, so no token can be checked."""

    code = "authentication_unavailable"

    def __init__(self) -> None:
        super().__init__("the issuer's keys cannot be fetched at the moment; try again shortly")


_OF_THE_MOMENT = (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS)


class WrongAnswer(BadAnswer):
    """An answer that will be the same the next time."""


class RemoteKeySet:
    """The keys at an address.

    Args:
        url: ``https``; ``http`` only on a loopback address.
        lifetime_seconds: how long fetched keys are used without asking again.
        stale_seconds: how much longer while they cannot be fetched.
        refetch_seconds: the least time between two fetches.
        timeout_seconds: for a whole fetch.

    Raises:
        ConfigurationError: an address that is not safe to take keys from.
    """

    algorithms = frozenset(_ALGORITHM_OF.values())

    def __init__(
        self,
        url: str,
        *,
        lifetime_seconds: float = 600.0,
        stale_seconds: float = 3600.0,
        refetch_seconds: float = 10.0,
        timeout_seconds: float = 5.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = checked_url(url, "The JWKS address")
        self._lifetime_seconds = lifetime_seconds
        self._stale_seconds = stale_seconds
        self._refetch_seconds = refetch_seconds
        self._timeout_seconds = timeout_seconds
        self._monotonic = monotonic
        self._keys: dict[tuple[str, str | None], tuple[Any, ...]] = {}
        self._fetched_at = self._attempted_at = -math.inf
        self._lock = asyncio.Lock()
        self.refused_because = ""
        """What is wrong with the last answer, where it will be the same the next time."""

    async def keys_for(self, algorithm: str, key_id: str | None) -> Sequence[Any]:
        """Return the keys of that id and algorithm. Without an id, the only key of the algorithm.

        Raises:
            KeysUnavailable: there is no document that is recent enough.
        """
        found = self._find(algorithm, key_id)
        # Whoever holds the lock is fetching; a key that is merely old need not wait for that.
        if found and (self._age <= self._lifetime_seconds or self._lock.locked()):
            return found
        async with self._lock:
            found = self._find(algorithm, key_id)
            wanted = not found or self._age > self._lifetime_seconds
            if wanted and self._monotonic() - self._attempted_at >= self._refetch_seconds:
                await self._fetch()
        if self._age > self._lifetime_seconds + self._stale_seconds:
            raise KeysUnavailable
        return self._find(algorithm, key_id)

    async def count_usable(self) -> int:
        """Fetch the document now and return how many of its keys can be used.

        Raises:
            KeysUnavailable: it cannot be fetched, or is no key set.
        """
        await self._fetch()
        if math.isinf(self._fetched_at):
            raise KeysUnavailable
        return sum(len(keys) for keys in self._keys.values())

    @property
    def _age(self) -> float:
        return self._monotonic() - self._fetched_at

    def _find(self, algorithm: str, key_id: str | None) -> tuple[Any, ...]:
        if self._age > self._lifetime_seconds + self._stale_seconds:
            return ()
        if key_id is not None:
            return self._keys.get((algorithm, key_id), ())
        fitting = [
            key for (name, _), keys in self._keys.items() if name == algorithm for key in keys
        ]
        return tuple(fitting) if len(fitting) == 1 else ()

    async def _fetch(self) -> None:
        self._attempted_at = self._monotonic()
        try:
            keys = _read_keys(await self._document())
        except (httpx.HTTPError, OSError, TimeoutError, BadAnswer) as exc:
            reason = str(exc) if isinstance(exc, BadAnswer) else type(exc).__name__
            record(KEY_FAILURES)
            self.refused_because = reason if isinstance(exc, WrongAnswer) else ""
            log.warning("auth.keys_not_fetched", reason=reason, keys=len(self._keys))
            return
        self._keys = keys
        self._fetched_at = self._monotonic()
        record(KEYS_FETCHED, time.time())

    async def _document(self) -> bytes:
        status, document = await fetch(
            self._url,
            accept="application/jwk-set+json, application/json",
            timeout_seconds=self._timeout_seconds,
        )
        if status != httpx.codes.OK:
            may_pass = status >= httpx.codes.INTERNAL_SERVER_ERROR or status in _OF_THE_MOMENT
            kind = BadAnswer if may_pass else WrongAnswer
            raise kind(f"the answer has the status {status}")
        return document


def _read_keys(document: bytes) -> dict[tuple[str, str | None], tuple[Any, ...]]:
    """Return the usable keys by algorithm and id. A document without any is taken at its word:
    its issuer withdrew them all."""
    try:
        entries = json.loads(document)["keys"]
    except (ValueError, RecursionError, KeyError, TypeError):
        raise WrongAnswer("the document is not a JSON object with 'keys'") from None
    if not isinstance(entries, list):
        raise WrongAnswer("'keys' is not a list")
    if len(entries) > MAX_KEYS:
        raise WrongAnswer(f"the document has more than {MAX_KEYS} keys")
    keys: dict[tuple[str, str | None], tuple[Any, ...]] = {}
    for entry in entries:
        usable = _read_key(entry)
        if usable is not None:
            algorithm, key = usable
            key_id = entry.get("kid")
            place = (algorithm, key_id if isinstance(key_id, str) else None)
            keys[place] = (*keys.get(place, ()), key)
    return keys


def _read_key(entry: Any) -> tuple[str, Any] | None:
    """Return algorithm and public key, or ``None`` for what is not meant for us: encryption keys,
    other algorithms, symmetric or private keys (which nobody should publish)."""
    if not isinstance(entry, dict) or "d" in entry or "k" in entry:
        return None
    kind, curve = str(entry.get("kty")), entry.get("crv")
    # An RSA key has no curve; should it name one, that means nothing.
    algorithm = _ALGORITHM_OF.get((kind, None if kind == "RSA" else str(curve)))
    operations = entry.get("key_ops", ["verify"])
    if (
        algorithm is None
        or entry.get("alg", algorithm) != algorithm
        or entry.get("use", "sig") != "sig"
        or not isinstance(operations, list)
        or "verify" not in operations
    ):
        return None
    try:
        key = PyJWK(entry, algorithm).key
    except (PyJWTError, ValueError, TypeError, AttributeError):
        return None
    if kind == "RSA" and key.key_size not in _RSA_BITS:
        return None
    return algorithm, key
