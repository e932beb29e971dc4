"""What a process of the project has: its catalog, who somebody is, and waybill's parts.

Those parts are asynchronous and belong to one event loop. Django's views run in threads, under
WSGI and under ASGI alike; so a thread of ours has the loop, started at the first use in each
process, and views wait for what it does. Nothing connects, and nothing runs, before it is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from functools import cached_property
from typing import Any, Final, TypeVar
from uuid import UUID

from django.core.exceptions import PermissionDenied
from django.utils.module_loading import import_string

from waybill.audit.audit import bind_client
from waybill.bootstrap.api import ApiParts
from waybill.catalog import Catalog, ExportType, TableSource
from waybill.catalog.model import PERSONAL_DATA_SCOPE
from waybill.config import load_settings
from waybill.errors import ConfigurationError
from waybill.principal import ADMIN, READ, REQUEST, Principal

T = TypeVar("T")

_ANSWER_SECONDS: Final = 30.0
_SCOPES: Final[Mapping[str, str]] = {
    PERSONAL_DATA_SCOPE: "waybill.export_personal_data",
    ADMIN: "waybill.administer_exports",
}


@dataclass(frozen=True)
class Host:
    """A Django project that exports.

    ``tenant_of`` gives the tenant of a user, ``principal_of`` everything of a request, instead of
    what this class makes of its user. ``scopes`` are the permissions that give scopes.
    """

    catalog: Catalog
    database: str = "default"
    tenant_of: Callable[[Any], str | None] | None = None
    principal_of: Callable[[Any], Principal] | None = None
    scopes: Mapping[str, str] = field(default_factory=dict)
    base_template: str = "admin/base_site.html"

    def principal(self, request: Any) -> Principal:
        """Return who asks.

        A permission that a user has is a scope of the same name; ``exports:pii`` and
        ``exports:admin`` are permissions too (``scopes``).

        Raises:
            PermissionDenied: nobody is signed in, or not active.
            ConfigurationError: a function of the project gave something else than it has to.
        """
        user = request.user
        if not (user.is_authenticated and user.is_active):
            raise PermissionDenied
        bind_client(request.META.get("REMOTE_ADDR"))
        if self.principal_of is not None:
            return _principal_given(self.principal_of(request))
        scopes = {REQUEST, READ, *user.get_all_permissions()}
        scopes |= {scope for scope, right in self.scopes.items() if user.has_perm(right)}
        signed_in = getattr(user, "last_login", None)
        return Principal(
            str(user.pk),
            tenant=None if self.tenant_of is None else _tenant_given(self.tenant_of(user)),
            scopes=frozenset(scopes),
            email=getattr(user, "email", "") or None,
            authenticated_at=signed_in.astimezone(UTC) if signed_in else None,
        )

    def type_of(self, model: Any) -> ExportType | None:
        """Return the first export type of a model's table; ``None`` where there is none."""
        from waybill.catalog.django_models import table_of

        table: TableSource = table_of(model._meta.concrete_model, self.catalog.schema)
        return next((each for each in self.catalog.values() if each.source == table), None)

    @cached_property
    def _working(self) -> _Working:
        return _Working(self.catalog)

    @property
    def parts(self) -> ApiParts:
        """waybill's parts. What is asynchronous of them runs in ``run`` alone."""
        return self._working.of_this_process().parts

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Do asynchronous work and return what it returns, or raise what it raises."""
        return self._working.of_this_process().run(work)


def _tenant_given(given: Any) -> str | None:
    """Return a tenant as text, whatever kind of key it is."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, (int, UUID)) and not isinstance(given, bool):
        return str(given)
    raise ConfigurationError(
        f"WAYBILL['TENANT'] gave a {type(given).__name__}. It has to return the tenant's key (a "
        "text, a number or a UUID), or None for who has none."
    )


def _principal_given(given: Any) -> Principal:
    if given is None:
        raise PermissionDenied
    if isinstance(given, Principal):
        return given
    raise ConfigurationError(
        f"WAYBILL['PRINCIPAL'] gave a {type(given).__name__}. It has to return a "
        "waybill.principal.Principal, or None for nobody."
    )


class _Working:
    """The loop of each process: after a fork the child has its own."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._pid = 0
        self._loop: _Loop | None = None

    def of_this_process(self) -> _Loop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop, self._pid = _Loop(self._catalog), os.getpid()
            return self._loop


class _Loop:
    """A thread with an event loop, and the parts that live on it."""

    def __init__(self, catalog: Catalog) -> None:
        from waybill.django.settings import given_settings

        self.parts = ApiParts(load_settings(**given_settings()), catalog=catalog)
        self._loop = asyncio.new_event_loop()
        # A daemon: what it does has its truth in the database, and an exit is not held up by it.
        threading.Thread(target=self._loop.run_forever, name="waybill", daemon=True).start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        doing = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return doing.result(_ANSWER_SECONDS)
        except BaseException:
            doing.cancel()
            raise

    def close(self) -> None:
        """Close the connections and end the thread."""
        self.run(self.parts.close())
        self._loop.call_soon_threadsafe(self._loop.stop)


_lock = threading.Lock()
_hosts: dict[str, Host] = {}


def get_host() -> Host:
    """Return the project's host, made at the first use.

    Raises:
        ConfigurationError: see ``load_host``.
    """
    with _lock:
        if "host" not in _hosts:
            _hosts["host"] = load_host()
        return _hosts["host"]


def forget_host() -> None:
    """Close the host's connections; the next use makes another one, of the settings of then."""
    with _lock:
        host = _hosts.pop("host", None)
    if host is not None and "_working" in vars(host) and host._working._loop is not None:
        with contextlib.suppress(TimeoutError):
            host._working._loop.close()


def load_host() -> Host:
    """Return what the project's ``WAYBILL`` describes.

    Raises:
        ConfigurationError: a name in it is none, or the catalog does not hold.
    """
    from waybill.django.catalog import load
    from waybill.django.settings import given_settings, own_settings

    own = own_settings()
    given_settings()
    return Host(
        catalog=load(),
        database=str(own.get("DATABASE", "default")),
        tenant_of=imported("TENANT", own["TENANT"]) if own.get("TENANT") else None,
        principal_of=imported("PRINCIPAL", own["PRINCIPAL"]) if own.get("PRINCIPAL") else None,
        scopes={**_SCOPES, **own.get("SCOPES", {})},
        base_template=str(own.get("BASE_TEMPLATE", "admin/base_site.html")),
    )


def imported(what: str, given: Any) -> Any:
    """Return what a dotted path of ``WAYBILL`` names; what is no text is taken as it is.

    Raises:
        ConfigurationError: there is nothing of that name.
    """
    if not isinstance(given, str):
        return given
    try:
        return import_string(given.replace(":", "."))
    except ImportError as exc:
        raise ConfigurationError(f"WAYBILL[{what!r}] is {given!r}: {exc}.") from exc
