"""Which database an export type is read from. The one place that chooses: whoever reads rows does
it by a snapshot, and says which type's.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo

from waybill.catalog.connect import read_dsn
from waybill.catalog.model import Catalog
from waybill.catalog.sources import DEFAULT_SOURCE, NamedSource, unused_source, variable_of
from waybill.config import Settings
from waybill.errors import ConfigurationError
from waybill.source.kept import ConnectionKeeper
from waybill.source.source import (
    PostgresSnapshot,
    PostgresSource,
    Reads,
    SharedSnapshot,
    SourceSettings,
)


def source_dsns(catalog: Catalog, settings: Settings) -> dict[str, str]:
    """Return the addresses of the sources that the catalog's types are read from, by name; the
    default one's in any case.

    Raises:
        ConfigurationError: a source has no address, or one that cannot be read; nobody reads from
            it; or an address is of a source that the catalog does not declare. Quotes no part of an
            address.
    """
    given = {name: dsn.get_secret_value() for name, dsn in settings.source_dsns.items()}
    _check_names(catalog, given)
    dsns = {DEFAULT_SOURCE: settings.source_url}
    for name in catalog.sources_read():
        source = catalog.sources[name]
        dsn = settings.source_url if name == DEFAULT_SOURCE else _address(source, given)
        dsns[name] = with_wish(dsn, source)
    return dsns


def _check_names(catalog: Catalog, given: Mapping[str, str]) -> None:
    """Refuse names that stand for nothing, or for two things."""
    read = {DEFAULT_SOURCE, *catalog.sources_read()}
    for name, source in catalog.sources.items():
        if name not in read:
            raise ConfigurationError(unused_source(name))
        if name not in given and name != DEFAULT_SOURCE and not source.dsn_file:
            near = _nearest(name, given.keys() - set(catalog.sources))
            guess = f" {_variable(near)} is set, and no source is called so." if near else ""
            raise ConfigurationError(
                f"The source {name!r} has no address: set {source.variable}.{guess}"
            )
        if name in given and (source.dsn_file or name == DEFAULT_SOURCE):
            other = "dsn_file in the catalog" if source.dsn_file else variable_of(name)
            raise ConfigurationError(
                f"The source {name!r} has two addresses, {_variable(name)} and {other}. Leave one "
                "out."
            )
    for name in given:
        if name not in catalog.sources:
            near = _nearest(name, catalog.sources.keys() - {DEFAULT_SOURCE})
            guess = f" Did you mean {_variable(near)}?" if near else ""
            raise ConfigurationError(
                f"{_variable(name)} is set, and the catalog declares no source {name!r}.{guess}"
            )


def _nearest(name: str, names: Iterable[str]) -> str | None:
    return next(iter(difflib.get_close_matches(name, sorted(names), n=1, cutoff=0.5)), None)


def _variable(name: str) -> str:
    """Return the variable that was set, which of the default source's name is no setting."""
    return f"{variable_of(DEFAULT_SOURCE)}_{name.upper()}"


def _address(source: NamedSource, given: Mapping[str, str]) -> str:
    if not source.dsn_file:
        return given[source.name]
    try:
        dsn = Path(source.dsn_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        reason = getattr(exc, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(
            f"The address of the source {source.name!r} cannot be read from {source.dsn_file}: "
            f"{reason}."
        ) from None
    if not dsn:
        raise ConfigurationError(
            f"The source {source.name!r} has no address: {source.dsn_file} is empty."
        )
    return dsn


def with_wish(dsn: str, source: NamedSource) -> str:
    """Return an address with what the catalog says of its servers."""
    if source.name == DEFAULT_SOURCE and source.standby is None:
        return dsn
    try:
        said = read_dsn(dsn).get("target_session_attrs")
    except ConfigurationError as exc:
        place = source.dsn_file or source.variable
        raise ConfigurationError(f"{place}: {exc}") from None
    if source.standby is None:
        return dsn
    wish = {"prefer": "prefer-standby", "require": "standby"}[source.standby]
    if said not in (None, wish):
        raise ConfigurationError(
            f"The source {source.name!r} has standby = {source.standby!r} in the catalog, and "
            f"target_session_attrs={said} in its address. Leave one out."
        )
    return make_conninfo(dsn, target_session_attrs=wish)


class NamedSources(PostgresSource):
    """The sources of a catalog: the default one, and others by name. A snapshot is opened on that
    of the type it is for, and what joins a snapshot on that one's.

    Args:
        dsns: their addresses by name, the default one's among them (``source_dsns``).
        settings: bounds of each connection.
        rest_seconds: how long a connection of each may rest between exports; 0: not at all.
        places: how many of each may rest: as many as there are exports side by side.
    """

    def __init__(
        self,
        dsns: Mapping[str, str],
        settings: SourceSettings | None = None,
        *,
        rest_seconds: float = 0.0,
        places: int = 1,
    ) -> None:
        def keeper() -> ConnectionKeeper | None:
            if not rest_seconds:
                return None
            return ConnectionKeeper(places=places, most_seconds=rest_seconds)

        super().__init__(dsns[DEFAULT_SOURCE], settings, keeper=keeper())
        self._others = {
            name: PostgresSource(dsn, settings, keeper=keeper(), variable=variable_of(name))
            for name, dsn in dsns.items()
            if name != DEFAULT_SOURCE
        }

    @contextmanager
    def open_snapshot(
        self,
        check: Callable[[], None],
        *,
        application_name: str = "waybill export",
        statement_timeout_seconds: float | None = None,
        reads: Reads | None = None,
        exported: SharedSnapshot | None = None,
        sharers: Callable[[], int] = lambda: 1,
    ) -> Iterator[PostgresSnapshot]:
        """As of ``PostgresSource``.

        Raises:
            ConfigurationError: the type names a source that was not there at the start.
        """
        wanted = exported.reads if exported else reads
        name = DEFAULT_SOURCE if wanted is None else wanted.export_type.source_name
        open_snapshot = super().open_snapshot
        if name != DEFAULT_SOURCE:
            if name not in self._others:
                raise ConfigurationError(f"There is no source {name!r}.")
            open_snapshot = self._others[name].open_snapshot
        with open_snapshot(
            check,
            application_name=application_name,
            statement_timeout_seconds=statement_timeout_seconds,
            reads=reads,
            exported=exported,
            sharers=sharers,
        ) as snapshot:
            yield snapshot

    def of(self, name: str) -> PostgresSource:
        """Return the source called so; for whoever opens a snapshot of no one type."""
        return self if name == DEFAULT_SOURCE else self._others[name]

    def close(self) -> None:
        super().close()
        for other in self._others.values():
            other.close()
