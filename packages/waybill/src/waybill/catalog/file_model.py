"""What may stand in ``waybill.toml``: the models of the file. ``model.py`` says what it means.

They are strict: a number is no string, and a key nobody knows is refused rather than ignored,
since a misspelt ``columns`` would otherwise export every column.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    model_validator,
)

from waybill.catalog.computed import ComputedType
from waybill.catalog.model import PERSONAL_DATA_SCOPE, Consistency, Order, Quota
from waybill.catalog.sources import DEFAULT_SOURCE, Standby
from waybill.catalog.urgency import Urgency
from waybill.filter_types import FilterType, Operator

# RFC 6749, section 3.3: scope-token.
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,255}")


def _check_name(value: str) -> str:
    if "\0" in value:
        raise ValueError("a name in PostgreSQL cannot hold a NUL character")
    return value


def _as_entry(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _as_column(value: object) -> object:
    return {"column": value} if isinstance(value, str) else value


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _check_scope(value: str) -> str:
    if not _SCOPE.fullmatch(value):
        raise ValueError("a scope is one word without quotes, like exports:users")
    return value


def _check_pii(value: object) -> str:
    if isinstance(value, bool):
        return PERSONAL_DATA_SCOPE if value else ""
    if isinstance(value, str) and _SCOPE.fullmatch(value):
        return value
    raise ValueError('give true or false, or the scope it needs, like "exports:pii"')


def _check_quota(value: object) -> Quota:
    if value == "unlimited":
        return "unlimited"
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ValueError('give a whole number of at least 1, or "unlimited"')


_Name = Annotated[str, Field(min_length=1), AfterValidator(_check_name)]
_Text = Annotated[str, Field(min_length=1)]
_Scope = Annotated[str, AfterValidator(_check_scope)]
_Pii = Annotated[str, PlainValidator(_check_pii, json_schema_input_type=bool | str)]
_Quota = Annotated[
    Quota,
    PlainValidator(
        _check_quota,
        json_schema_input_type=Annotated[int, Field(ge=1)] | Literal["unlimited"],
    ),
]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class ColumnTable(_Model):
    """One column: its name in the source and what the file calls it."""

    name: _Name = Field(description="The column's name, exactly as PostgreSQL stores it.")
    label: _Text | None = Field(None, description="The header in the file; the name by default.")
    pii: _Pii | None = Field(
        None,
        description="Personal data: true asks for the scope exports:pii, a text for that scope. Of "
        "a computed column, what the columns that it reads need when left out.",
    )
    compute: _Text | None = Field(
        None,
        description="Makes it of other columns, row by row and slowly: package.module:function, "
        "which takes a dict.",
    )
    reads: list[_Name] = Field(
        default=[], description="The source's columns that compute is given, by name."
    )
    type: ComputedType = Field(
        "text", description=f"What compute returns: {', '.join(get_args(ComputedType))}."
    )

    @model_validator(mode="after")
    def _check_computed(self) -> Self:
        if self.compute is None and self.model_fields_set & {"reads", "type"}:
            raise ValueError("reads and type belong to a column with compute")
        if self.compute is not None and not self.reads:
            raise ValueError("a computed column names in reads the columns that it is given")
        return self


class FilterTable(_Model):
    """One filter: what callers may compare, with which operators and values."""

    name: _Name = Field(description="What callers call it.")
    column: _Name | None = Field(None, description="The source's column; the name by default.")
    type: FilterType = Field(
        "text", description=f"How a caller's values are read: {', '.join(get_args(FilterType))}."
    )
    operators: list[Operator] = Field(
        default=[],
        description=f"The operators callers may use ({', '.join(get_args(Operator))}); all of the "
        "type's when left out.",
    )
    values: list[_Text] = Field(
        default=[], description="For text: the only values accepted (the labels of an enum)."
    )
    pii: _Pii | None = Field(
        None,
        description="Of a column that `columns` does not name: false when filtering by it gives "
        "no personal data away, otherwise the scope it needs (true: exports:pii, which is also "
        "what it needs when left out). A column that is named says so itself.",
    )


class SinceTable(_Model):
    """The column of incremental exports."""

    column: _Name = Field(description="The source's timestamptz column.")
    pii: _Pii | None = Field(None, description="As of a filter.")


_ColumnEntry = Annotated[
    ColumnTable, BeforeValidator(_as_entry, json_schema_input_type=str | ColumnTable)
]
_Since = Annotated[SinceTable, BeforeValidator(_as_column, json_schema_input_type=str | SinceTable)]
_FilterEntry = Annotated[
    FilterTable, BeforeValidator(_as_entry, json_schema_input_type=str | FilterTable)
]
_Key = Annotated[list[_Name], BeforeValidator(_as_list, json_schema_input_type=_Name | list[_Name])]
_Scopes = Annotated[
    list[_Scope], BeforeValidator(_as_list, json_schema_input_type=_Scope | list[_Scope])
]


class PoliteTable(_Model):
    """What an export does for the database it reads."""

    rows_per_second: float | None = Field(None, gt=0, description="How fast rows are read at most.")
    mb_per_second: float | None = Field(
        None, gt=0, description="The same in units of 1,000,000 bytes, as PostgreSQL sends them."
    )
    hours: _Text | None = Field(
        None, description="The hours in which exports begin: 22:00-06:00. Jobs wait for them."
    )
    timezone: _Text = Field("UTC", description="Whose hours they are: Europe/Berlin.")
    max_lag_seconds: float | None = Field(
        None,
        gt=0,
        description="How late the standby that is read from may be, or one that follows the "
        "primary that is; beyond it exports wait.",
    )
    max_active_sessions: int | None = Field(
        None, ge=1, description="How many sessions of others may be active; beyond it exports wait."
    )
    health_query: _Text | None = Field(
        None, description="A SELECT of one value, true or false: whether there is room for exports."
    )


class TogetherTable(_Model):
    """What all exports of a source keep to together."""

    max_running: int | None = Field(
        None, ge=1, description="How many exports read the source at a time; further ones wait."
    )
    rows_per_second: float | None = Field(
        None,
        gt=0,
        description="How fast rows are read at most by all of them, shared out equally.",
    )
    mb_per_second: float | None = Field(
        None, gt=0, description="The same in units of 1,000,000 bytes, as PostgreSQL sends them."
    )


class SourceTable(_Model):
    """One ``[sources.NAME]`` table."""

    together: TogetherTable | None = Field(
        None,
        description="What all exports that read it keep to together, whichever workers run them.",
    )
    polite: PoliteTable | None = Field(
        None,
        description="How this database is spared by all types that are read from it, but for what "
        "a type's own polite says; with the same keys.",
    )
    standby: Standby | None = Field(
        None,
        description="Of the several hosts of its address, read a standby: prefer (the primary, if "
        "none answers) or require.",
    )
    dsn_file: _Text | None = Field(
        None,
        description="The file that holds its address, instead of the variable "
        "WAYBILL_SOURCE_DSN_NAME.",
    )


class ExportTable(_Model):
    """One ``[exports.NAME]`` table."""

    table: _Name | None = Field(
        None,
        description='"table", "schema.table" or quoted as in SQL; with `schema` given, the bare '
        "name of the table. Names are exact.",
    )
    schema_: _Name | None = Field(
        None, alias="schema", description="The table's schema; public by default."
    )
    query: _Text | None = Field(
        None, description="Instead of a table: one SELECT, WITH, VALUES or TABLE statement."
    )
    key: _Key = Field(
        default=[], description="The column or columns that identify a row; the file's order."
    )
    title: str = Field("", description="What people see instead of the name.")
    columns: list[_ColumnEntry] = Field(
        default=[], description="The columns to export, in order; every column when left out."
    )
    order: Order = Field(
        "key", description='"key" (when left out), or "none": rows as PostgreSQL finds them.'
    )
    deadline_seconds: float | None = Field(
        None, gt=0, description="Bounds one attempt; the setting's default (60) when left out."
    )
    requires: _Scopes = Field(
        default=[], description="Scopes a caller needs for this type, besides exports:request."
    )
    scope: _Text | None = Field(
        None,
        description="A condition on the rows, with :principal.tenant and :principal.subject for "
        "who asks. Callers cannot change it.",
    )
    filters: list[_FilterEntry] = Field(
        default=[], description="What callers may compare rows by; nothing when left out."
    )
    since: _Since | None = Field(
        None, description="The timestamptz column that incremental exports go by."
    )
    quota: _Quota | None = Field(
        None,
        description="Exports of this type per user in 24 hours, counted apart from the others; "
        'the general quota when left out, or "unlimited".',
    )
    consistency: Consistency = Field(
        "snapshot",
        description='"snapshot" (when left out): every row of one moment; "resumable": an export '
        "goes on where a dead worker stopped, from a later snapshot; needs a key "
        "with a unique index.",
    )
    requires_recent_login_seconds: int | None = Field(
        None,
        ge=1,
        description="How long ago the caller may have signed in (the token's auth_time), to "
        "request and to download; any time ago when left out.",
    )
    search_path: _Key = Field(
        default=[],
        description="Schemas, behind pg_catalog, for names without one in the query, the scope and "
        "the functions they or a view call; none when left out.",
    )
    urgency: Urgency = Field(
        "low",
        description="What the service is held to for this type: high (waits 10 s at most, runs "
        "60 s), low (60 s, 300 s) or throttled (nobody is woken for it).",
    )
    max_running: int | None = Field(
        None,
        ge=1,
        description="How many jobs of this type run at a time, whoever requested them; as many as "
        "there are workers when left out.",
    )

    polite: PoliteTable | None = Field(
        None,
        description="How the database is spared: rows_per_second, mb_per_second, hours, timezone, "
        "max_lag_seconds, max_active_sessions, health_query.",
    )
    source: _Text = Field(
        DEFAULT_SOURCE,
        description="Which [sources.NAME] it is read from; WAYBILL_SOURCE_DSN when left out.",
    )

    @model_validator(mode="after")
    def _check_source(self) -> Self:
        if (self.table is None) == (self.query is None):
            raise ValueError(
                'give either table = "schema.table" or query = "SELECT …"'
                + (", not both" if self.table is not None else "")
            )
        if self.query is not None and self.schema_ is not None:
            raise ValueError("schema belongs to a table; a query names its schemas itself")
        return self


class CatalogFile(_Model):
    """A whole ``waybill.toml``."""

    exports: dict[str, ExportTable] = Field(
        default={}, description="The export types by name (a-z, 0-9, _ and -)."
    )
    sources: dict[str, SourceTable] = Field(
        default={},
        description="The databases that types are read from, by name (a-z, 0-9 and _); their "
        "addresses stand in WAYBILL_SOURCE_DSN_NAME. default is that of WAYBILL_SOURCE_DSN.",
    )


def catalog_json_schema() -> dict[str, Any]:
    """Return the JSON schema of ``waybill.toml``, for editors and other checkers."""
    schema = CatalogFile.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
