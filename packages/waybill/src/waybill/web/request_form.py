"""What stands in the form of a new export, and the request that it makes. No I/O."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from waybill.api.request_schemas import ExportBody
from waybill.catalog import ExportType
from waybill.catalog.filters import STORED_AS, Filter
from waybill.requests.access import Usable
from waybill.web.forms import Form, FormRefused

_YES_NO: Final = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class ColumnLine:
    """A column as the form has it. ``label`` is what the person typed over ``header``."""

    name: str
    header: str
    is_personal: bool
    is_chosen: bool = True
    label: str = ""


@dataclass(frozen=True, slots=True)
class FilterLine:
    """A filter as the form has it."""

    filter: Filter
    is_personal: bool
    operator: str = ""
    value: str = ""

    @property
    def lacks(self) -> Literal["", "comparison", "value", "item"]:
        """What is missing where a filter is filled in half; it must never pass for none, which
        would be every row. Nothing at all is no filter."""
        is_blank = not self.value.strip()
        if not self.operator:
            return "" if is_blank else "comparison"
        if is_blank:
            # Of a text nothing is a value too: the empty one.
            is_value = self.filter.type == "text" and self.operator in {"eq", "ne"}
            return "" if is_value else "value"
        if self.operator == "in" and not all(each.strip() for each in self.value.split(",")):
            return "item"
        return ""


@dataclass(frozen=True, slots=True)
class RequestForm:
    """The whole form of one type."""

    format: str
    compression: str
    since: str
    columns: tuple[ColumnLine, ...]
    filters: tuple[FilterLine, ...]
    declared: tuple[str, ...] = field(repr=False)
    """The columns that the person may use, in the order of the catalog."""

    def body(self) -> dict[str, Any]:
        """Return what the API would be sent: only what differs from what it takes by itself."""
        body: dict[str, Any] = {"format": self.format}
        columns = self._columns()
        if columns is not None:
            body["columns"] = columns
        filters = {
            each.filter.name: {each.operator: _value(each)}
            for each in self.filters
            if each.operator and not each.lacks
        }
        if filters:
            body["filters"] = filters
        if self.since:
            body["since"] = self.since
        if self.compression:
            body["compression"] = self.compression
        return body

    @property
    def is_whole(self) -> bool:
        """Whether ``body`` says all that was filled in."""
        return not any(each.lacks for each in self.filters)

    def read(self) -> ExportBody:
        """Return the body, held to the API's own rules.

        Raises:
            pydantic.ValidationError: it does not fit.
        """
        return ExportBody.model_validate(self.body())

    def moved(self, name: str, by: int) -> RequestForm:
        """Return the form with one column further up or down."""
        lines = list(self.columns)
        for index, line in enumerate(lines):
            other = index + by
            if line.name == name and 0 <= other < len(lines):
                lines[index], lines[other] = lines[other], line
                break
        return replace(self, columns=tuple(lines))

    def _columns(self) -> list[Any] | None:
        if not self.columns and not self.declared:
            return None  # the source's own, which no preview has named yet
        chosen = [line for line in self.columns if line.is_chosen]
        if (
            chosen
            and not any(line.label for line in chosen)
            and (tuple(line.name for line in chosen) == self.declared)
        ):
            return None
        return [{"name": c.name, "as": c.label} if c.label else c.name for c in chosen]


def fresh_form(export_type: ExportType, usable: Usable) -> RequestForm:
    """Return the form before anybody has touched it."""
    return RequestForm(
        format="csv",
        compression="",
        since="",
        columns=tuple(ColumnLine(c.name, c.header, bool(c.pii)) for c in usable.columns),
        filters=tuple(
            FilterLine(each, bool(export_type.scope_of_filter(each))) for each in usable.filters
        ),
        declared=_declared(export_type, usable),
    )


def sent_form(export_type: ExportType, usable: Usable, form: Form) -> RequestForm:
    """Return the form as it was sent. Names that the person may not use are passed on all the
    same: the door refuses them, here nothing is decided.

    Raises:
        FormRefused: it holds what no form of ours does, which would be passed over.
    """
    _require_own_fields(form)
    known = {c.name: c for c in usable.columns}
    chosen = set(form.all("column"))
    columns = []
    for name in dict.fromkeys([*form.all("order"), *form.all("column")]):
        column = known.get(name)
        header = column.header if column is not None else name
        label = form.get(f"label:{name}").strip()
        columns.append(
            ColumnLine(
                name,
                header,
                is_personal=bool(column and column.pii),
                is_chosen=name in chosen,
                label="" if label == header else label,
            )
        )
    return RequestForm(
        format=form.get("format", "csv"),
        compression=form.get("compression"),
        since=form.get("since").strip(),
        columns=tuple(columns),
        filters=(
            *(
                _sent_filter(each, form, is_personal=bool(export_type.scope_of_filter(each)))
                for each in usable.filters
            ),
            # Nothing is said of what they are.
            *(_sent_filter(each, form, is_personal=False) for each in _other_filters(usable, form)),
        ),
        declared=_declared(export_type, usable),
    )


def with_columns(form: RequestForm, columns: Sequence[tuple[str, str]]) -> RequestForm:
    """Return the form of a type that declares no columns with those that its source has."""
    if form.columns or form.declared:
        return form
    lines = tuple(ColumnLine(name, header, is_personal=False) for name, header in columns)
    return replace(form, columns=lines, declared=tuple(name for name, _ in columns))


def as_curl(url: str, name: str, body: Mapping[str, Any]) -> str:
    """Return the line that requests the same from a shell."""
    return (
        f"curl -X POST {shlex.quote(f'{url}/api/{name}/export')} \\\n"
        '  -H "Authorization: Bearer $WAYBILL_TOKEN" \\\n'
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    )


def as_python(url: str, name: str, body: Mapping[str, Any]) -> str:
    """Return the lines that request the same, wait for it and fetch it from Python."""
    options = "".join(f", {key}={value!r}" for key, value in body.items())
    return (
        "import os\nfrom pathlib import Path\n\nfrom waybill.client import ExportClient\n\n"
        f'with ExportClient({url!r}, os.environ["WAYBILL_TOKEN"]) as client:\n'
        f"    job = client.request({name!r}{options})\n"
        "    client.wait(job.id)\n"
        "    client.download(job.id, Path.cwd())"
    )


def _declared(export_type: ExportType, usable: Usable) -> tuple[str, ...]:
    # Some are hidden from this person: then even all that they see is a choice, or the request
    # would ask for the hidden ones too.
    if len(usable.columns) < len(export_type.columns):
        return ("",)
    return tuple(column.name for column in usable.columns)


_ONCE: Final = frozenset({"action", "compression", "format", "since"})
_ONCE_FOR_A_NAME: Final = frozenset({"label", "operator", "value"})
_OFTEN: Final = frozenset({"column", "order"})


def _require_own_fields(form: Form) -> None:
    for name in form.names():
        of_a_name = name.partition(":")[0] if ":" in name else ""
        is_once = name in _ONCE or of_a_name in _ONCE_FOR_A_NAME
        if name not in _OFTEN and not (is_once and len(form.all(name)) == 1):
            raise FormRefused(
                "That is not a form of this page: it has another field, or one twice."
            )


def _other_filters(usable: Usable, form: Form) -> list[Filter]:
    """Filters that are filled in and none of the person's, or no longer."""
    mine = {each.name for each in usable.filters}
    names = []
    for each in form.names():
        kind, _, name = each.partition(":")
        if kind in {"operator", "value"} and name not in mine and form.get(each).strip():
            names.append(name)
    if STORED_AS in names:
        raise FormRefused("That is not a form of this page: no filter is called so.")
    return [Filter(name) for name in dict.fromkeys(names)]


def _sent_filter(each: Filter, form: Form, *, is_personal: bool) -> FilterLine:
    value = form.get(f"value:{each.name}")
    # Blanks around a text are part of it; around anything else they are nothing.
    value = value if each.type == "text" else value.strip()
    return FilterLine(each, is_personal, form.get(f"operator:{each.name}"), value)


def _value(line: FilterLine) -> Any:
    if line.operator == "is_null":
        return _YES_NO.get(line.value.lower(), line.value)
    if line.operator == "in":
        return [_one(line, each.strip()) for each in line.value.split(",")]
    return _one(line, line.value)


def _one(line: FilterLine, text: str) -> Any:
    if line.filter.type == "boolean":
        return _YES_NO.get(text.lower(), text)
    if line.filter.type == "integer":
        try:
            return int(text) if len(text) <= 20 else text
        except ValueError:
            return text
    return text
