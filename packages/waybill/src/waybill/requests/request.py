"""What a caller asks for: read against the catalog, stored with the job, read again by its run."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal, get_args

from psycopg import sql

from waybill.catalog import Column, ExportType
from waybill.catalog.comparisons import BUILTIN, Comparisons
from waybill.catalog.filters import STORED_AS, filters_json, read_filters, read_timestamptz
from waybill.catalog.scope import Parameter
from waybill.catalog.selection import OPTION, Selection
from waybill.catalog.where import where_clause
from waybill.errors import InvalidOption, SourceRejected, UnknownFilter, ValuesForgotten
from waybill.formats import get_encoder, read_options
from waybill.formats.formula_guard import needs_guard
from waybill.formats.plan import FormatOptions
from waybill.jobs.forgetting import FORGOTTEN

Compression = Literal["gzip", "zstd"]
COMPRESSIONS: tuple[str, ...] = get_args(Compression)

MAX_LABEL_CHARACTERS = 255
_DELIMITERS = re.compile(r"[,;\t|]")


@dataclass(frozen=True, slots=True)
class Need:
    """``what``, as callers know it, gives away personal data; that needs ``scope``."""

    what: str
    scope: str


@dataclass(frozen=True, slots=True)
class Terms:
    """What the catalog said when the request was made, kept with the job: a file can outlive the
    declarations it was made by.

    ``personal`` are the scopes that its personal data needed, ``rows`` is a digest of the row
    scope.
    """

    personal: tuple[str, ...]
    rows: str | None


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """One request. ``columns`` empty means all of the type's columns.

    ``filters`` are ``{name: {operator: value}}`` by the type's declarations, ``since`` an ISO 8601
    instant; both as JSON has them, since that is what the job's row keeps. ``terms`` are those of a
    canonical request; ``None`` in one that was stored before there were any. ``is_forgotten``: what
    rows are to be compared with is not kept any more; such a request still says what it asked for,
    and selects nothing. ``selection`` are rows that a program chose with its ORM; no request over
    HTTP can have one.
    """

    export_type: str
    format: str = "csv"
    columns: tuple[Column, ...] = ()
    filters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    since: str | None = None
    compression: str | None = None
    format_options: Mapping[str, Any] = field(default_factory=dict)
    terms: Terms | None = None
    is_forgotten: bool = False
    selection: Selection | None = None

    def canonical(self, export_type: ExportType) -> ExportRequest:
        """Return the request in its one spelling, everything in it checked against the type.

        Columns of a type that declares none are checked against the source elsewhere.

        Raises:
            UnknownFormat, FormatNotInstalled, UnknownColumn, UnknownFilter, InvalidFilter,
            InvalidOption
        """
        options = self.check_names(export_type)
        conditions = read_filters(export_type.filters, self.filters, export_type.name)
        since = self._since(export_type)
        columns = export_type.select(self.columns) if self.columns else ()
        if exported := columns or export_type.columns:
            headers = {column.name: column.header for column in exported}
            get_encoder(self.format).check_columns(headers, options)
        return ExportRequest(
            export_type=self.export_type,
            format=self.format,
            columns=columns,
            filters=filters_json(conditions),
            since=since.isoformat() if since else None,
            compression=self.compression,
            format_options=options.model_dump(mode="json"),
            terms=Terms(
                personal=tuple(sorted({need.scope for need in self.needs(export_type)})),
                rows=rows_of(export_type),
            ),
            selection=self.selection,
        )

    def check_names(self, export_type: ExportType) -> FormatOptions:
        """Check everything but what values are compared with; return the format's options.

        Raises:
            UnknownFormat, FormatNotInstalled, UnknownColumn, UnknownFilter, InvalidOption
        """
        options = read_options(self.format, self.format_options)
        if self.compression is not None and self.compression not in COMPRESSIONS:
            raise InvalidOption("compression", f"give one of: {', '.join(COMPRESSIONS)}")
        if self.compression is not None and get_encoder(self.format).is_compressed:
            raise InvalidOption(
                "compression", f"format {self.format!r} is compressed inside; leave it out"
            )
        _check_texts(options)
        for column in self.columns:
            _check_label(column.label)
        if self.columns:
            export_type.select(self.columns)
        known = tuple(each.name for each in export_type.filters)
        for name in self.filters:
            if name not in known:
                raise UnknownFilter(name, export_type.name, known)
        self._check_selection(export_type)
        return options

    def where(
        self,
        export_type: ExportType,
        principal: dict[Parameter, str | None],
        comparisons: Mapping[str, Comparisons] | None = None,
    ) -> sql.Composable | None:
        """Return the condition on the source's rows, the type's row scope included.

        Args:
            export_type: the type.
            principal: who asks.
            comparisons: how the source's columns compare (``PostgresSnapshot.comparisons``).

        Raises:
            UnknownFilter, InvalidFilter, InvalidOption: the catalog has changed since.
            SourceRejected: the source would compare otherwise than the program did.
            ValuesForgotten: no condition is left, and no condition means every row.
        """
        if self.is_forgotten:
            raise ValuesForgotten
        since = self._since(export_type)
        if self.selection is not None:
            _check_compared(self.selection, export_type, comparisons or {})
        return where_clause(
            scope=export_type.scope,
            principal=principal,
            conditions=read_filters(export_type.filters, self.filters, export_type.name),
            since=(export_type.since, since) if since else None,
            comparisons=comparisons,
            selection=self._check_selection(export_type),
        )

    def needs(
        self, export_type: ExportType, columns: Iterable[str] | None = None
    ) -> tuple[Need, ...]:
        """Return the scopes that what the caller learns by this needs, for personal data: values
        that are exported, values that are compared with, and the order of the rows.

        Args:
            export_type: as the catalog has it.
            columns: the source columns that the file holds; those that it would hold if ``None``.
                A name that is unknown then is refused elsewhere.
        """
        if columns is None:
            known = {column.name for column in export_type.columns}
            asked = [column.name for column in self.columns] or known
            columns = [name for name in asked if name in known]
        needs = [Need(name, export_type.scope_of_column(name)) for name in columns]
        filters = {each.name: each for each in export_type.filters}
        for name in self.filters:
            if name in filters:
                needs.append(Need(name, export_type.scope_of_filter(filters[name])))
        if self.since is not None:
            needs.append(Need("since", export_type.scope_of_since()))
        if self.selection is not None:
            needs += [Need("the rows chosen", scope) for scope in self.selection.needs]
            needs += [
                Need(f"the rows chosen by {name}", export_type.scope_of_choice(name))
                for name in self.selection.compares
            ]
        needs += [Need("the order of rows", scope) for scope in export_type.scope_of_order()]
        return tuple(need for need in needs if need.scope)

    def fingerprint(self) -> str:
        """Return a digest by which equal canonical requests are equal."""
        document = [self.export_type, self.format, self.options_json()]
        text = json.dumps(document, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def options_json(self) -> dict[str, Any]:
        """Return what the job's row keeps, the inverse of ``from_job``."""
        return {
            "columns": [{"name": c.name, "label": c.label} for c in self.columns],
            # Among the filters, with whose values it is forgotten.
            "filters": {name: dict(each) for name, each in self.filters.items()}
            | ({STORED_AS: self.selection.to_json()} if self.selection is not None else {}),
            "since": self.since,
            "compression": self.compression,
            "format_options": dict(self.format_options),
            "terms": self.terms
            and {"personal": list(self.terms.personal), "rows": self.terms.rows},
        }

    @classmethod
    def from_job(cls, export_type: str, format: str, options: Mapping[str, Any]) -> ExportRequest:
        """Rebuild the request from a job's row."""
        filters = dict(options.get("filters", {}))
        selection = filters.pop(STORED_AS, None)
        return cls(
            export_type=export_type,
            format=format,
            columns=tuple(_column(each) for each in options.get("columns", ())),
            filters=filters,
            since=options.get("since"),
            compression=options.get("compression"),
            format_options=options.get("format_options", {}),
            terms=_terms(options.get("terms")),
            is_forgotten=FORGOTTEN in options,
            # Nothing of it is left where it was forgotten.
            selection=Selection.from_json(selection) if selection else None,
        )

    def _check_selection(self, export_type: ExportType) -> Selection | None:
        chosen = self.selection
        if chosen is not None and chosen.key != export_type.key:
            raise InvalidOption(
                OPTION,
                f"they were chosen by {', '.join(chosen.key)}, and the key of "
                f"{export_type.name!r} is {', '.join(export_type.key) or 'not declared'}",
            )
        return chosen

    def _since(self, export_type: ExportType) -> datetime | None:
        if self.since is None:
            return None
        if not export_type.since:
            raise InvalidOption(
                "since",
                f"export type {export_type.name!r} has no incremental exports; leave it out",
            )
        try:
            return read_timestamptz(self.since)
        except (ValueError, OverflowError) as exc:
            raise InvalidOption(
                "since", 'give a time with its offset, like "2026-05-01T12:00:00Z"'
            ) from exc


# What ``options_json`` and ``forgetful`` write, and ``from_job`` reads.
_STORED: Final = frozenset(
    {"columns", "filters", "since", "compression", "format_options", "terms", FORGOTTEN}
)
_STORED_COLUMN: Final = frozenset({"name", "label"})
_STORED_TERMS: Final = frozenset({"personal", "rows"})
_STORED_SELECTION: Final = frozenset({"text", "values", "key", "compares", "needs"})


def is_of_later_version(options: Mapping[str, Any]) -> bool:
    """Return whether a job's row holds something that ``from_job`` would pass over, as a later
    version wrote it: what is passed over may be what narrows the rows."""
    filters = options.get("filters")
    parts: list[tuple[object, frozenset[str]]] = [
        (options, _STORED),
        (options.get("terms"), _STORED_TERMS),
        (filters.get(STORED_AS) if isinstance(filters, Mapping) else None, _STORED_SELECTION),
        *((each, _STORED_COLUMN) for each in options.get("columns") or ()),
    ]
    return any(isinstance(part, Mapping) and not part.keys() <= known for part, known in parts)


def _check_compared(
    chosen: Selection, export_type: ExportType, comparisons: Mapping[str, Comparisons]
) -> None:
    """Make sure that the columns a program's query compares are compared as in the program: it
    writes ``=``, and where that lies in an extension's schema, that schema has to be searched.

    Raises:
        SourceRejected: it is not, or a cast that somebody made would decide.
    """
    searched = {"pg_catalog", *export_type.search_path}
    for name in chosen.compares:
        compared = comparisons.get(name, BUILTIN)
        compared.operator("=")
        schema = compared.operators["="][0]
        if schema not in searched:
            raise SourceRejected(
                f"Rows of {export_type.name!r} are chosen by {name!r}, whose type compares as an "
                f"extension says. Name its schema in search_path: {schema!r}."
            )


def rows_of(export_type: ExportType) -> str | None:
    """Return a digest of the type's row scope; ``None`` when it has none."""
    if export_type.scope is None:
        return None
    return hashlib.sha256(export_type.scope.sql.encode()).hexdigest()


def _terms(stored: Mapping[str, Any] | None) -> Terms | None:
    return None if stored is None else Terms(tuple(stored["personal"]), stored["rows"])


def _column(stored: str | Mapping[str, str]) -> Column:
    # Rows of the first version hold plain names.
    if isinstance(stored, str):
        return Column(stored)
    return Column(stored["name"], stored["label"])


def _check_texts(options: FormatOptions) -> None:
    """Hold every option that is free text, of whichever format, to the rule of a cell: what the
    caller puts into the file must not be a formula of theirs, whether the guard is on or not."""
    for name, option in type(options).model_fields.items():
        value = getattr(options, name)
        if option.annotation is not str or not value:
            continue
        if not value.isprintable():
            raise InvalidOption(name, "give printable characters only")
        # A reader that splits by another delimiter makes cells that begin inside this one.
        if any(needs_guard(piece) for piece in _DELIMITERS.split(value)):
            raise InvalidOption(name, "it may not begin like a formula (= + - @)")


def _check_label(label: str) -> None:
    if len(label) > MAX_LABEL_CHARACTERS or not label.isprintable():
        raise InvalidOption(
            "columns",
            f"a header may be at most {MAX_LABEL_CHARACTERS} printable characters long",
        )
    if needs_guard(label):
        # A header is a cell too, and this one would be the caller's own formula in the file.
        raise InvalidOption("columns", "a header may not begin like a formula (= + - @)")
