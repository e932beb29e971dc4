"""The operations of the API as values: what is sent, and how its answer is read. No I/O here.

Both clients send these, so a path or a field of the API is written once. ``ExportClient.send``
takes any of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Generic, Literal, TypedDict, TypeVar, Unpack
from urllib.parse import parse_qsl, quote, urlsplit
from uuid import UUID, uuid4

from pydantic_core import to_jsonable_python

from waybill.api.schemas import ExportDocument, ExportList
from waybill.client.errors import refusal

if TYPE_CHECKING:
    from waybill.api.documents import OfferDocument, PreviewDocument, QuotaList
    from waybill.jobs.job import ExportStatus

T = TypeVar("T")
ExportId = UUID | str
Via = Literal["redirect", "stream"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A response; ``headers`` by lower-case name. ``body`` is empty while it is being streamed."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request. ``is_repeatable``: sending it twice does what sending it once does."""

    method: str
    path: str
    parse: Callable[[Answer], T]
    params: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    is_repeatable: bool = True

    def read(self, answer: Answer) -> T:
        """Return what the answer says.

        Raises:
            ServerRefused: a problem.
        """
        if answer.status >= HTTPStatus.BAD_REQUEST:
            raise refusal(answer.status, answer.headers, answer.body)
        return self.parse(answer)

    def following(self, next_address: str) -> Call[T]:
        """Return the call of a list's next page. Of its address the query alone is taken, so that
        the token goes nowhere but to the service."""
        return replace(self, params=dict(parse_qsl(urlsplit(next_address).query)))


class StreamOptions(TypedDict, total=False):
    """What a request may say, as keyword arguments; a stream all of it but ``compression``.

    ``columns`` are names, or pairs of name and header, in the wanted order; ``filters`` are
    ``{name: {operator: value}}``; ``since`` is an instant with its offset. Dates, decimals and
    UUIDs are written as the API reads them.
    """

    format: str
    columns: Sequence[str | tuple[str, str]] | None
    filters: Mapping[str, Mapping[str, Any]] | None
    since: datetime | str | None
    options: Mapping[str, Any] | None


class RequestOptions(StreamOptions, total=False):
    """See ``StreamOptions``."""

    compression: Literal["gzip", "zstd"] | str | None


class ListOptions(TypedDict, total=False):
    """Which exports: in this status, of this type, created at or after ``since`` and before
    ``before``."""

    status: ExportStatus | str | None
    type: str | None
    since: datetime | str | None
    before: datetime | str | None


def request_export(
    export_type: str, *, idempotency_key: str | None = None, **options: Any
) -> Call[ExportDocument]:
    """Request an export. Without a key a fresh one is made, so that it can be sent again."""
    return Call(
        "POST",
        _export_path(export_type),
        _export,
        headers={"Idempotency-Key": idempotency_key or str(uuid4()), "Prefer": "respond-async"},
        json=_body(options),
    )


def preview_export(export_type: str, **options: Any) -> Call[PreviewDocument]:
    """Ask what an export would be: rows, bytes, seconds and the first rows. Nothing is made."""
    return Call(
        "POST", _export_path(export_type), _preview, json={**_body(options), "dry_run": True}
    )


def stream_export(export_type: str, **options: Any) -> Call[Answer]:
    """Open the file itself, while it is read. Not repeatable: each is an export of its own."""
    asked = _body(options, StreamOptions)
    for name in asked.keys() & {"columns", "filters", "options"}:
        asked[name] = json.dumps(asked[name], separators=(",", ":"))
    return Call(
        "GET",
        f"{_export_path(export_type)}/stream",
        _as_it_is,
        params=asked,
        headers={"Accept-Encoding": "identity"},
        is_repeatable=False,
    )


def list_exports(*, limit: int | None = None, **options: Unpack[ListOptions]) -> Call[ExportList]:
    """List one page of the caller's exports, newest first."""
    return Call("GET", "/api/exports", parsed(ExportList), params=query(limit=limit, **options))


def get_quota() -> Call[QuotaList]:
    """Ask how many exports are left."""
    return Call("GET", "/api/quota", _quota)


def get_catalog() -> Call[OfferDocument]:
    """Ask what may be exported: types, columns, filters, formats."""
    return Call("GET", "/api/catalog", _offer)


def get_export(export_id: ExportId) -> Call[ExportDocument]:
    """Look at an export."""
    return Call("GET", export_path(export_id), _export)


def discard_export(export_id: ExportId) -> Call[ExportDocument]:
    """Cancel an unfinished export, or delete a completed one's file."""
    return Call("DELETE", export_path(export_id), _export)


def get_manifest(export_id: ExportId) -> Call[dict[str, Any]]:
    """Get the manifest of a completed export."""
    return Call("GET", export_path(export_id, "/manifest"), Answer.json)


def watch_export(export_id: ExportId, last_event_id: str | None = None) -> Call[Answer]:
    """Open the stream of an export's events."""
    headers = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    return Call("GET", export_path(export_id, "/events"), _as_it_is, headers=headers)


def download_export(
    export_id: ExportId, *, start: int = 0, etag: str | None = None, via: Via | None = None
) -> Call[Answer]:
    """Ask for the file from byte ``start``, if it is still the one that ``etag`` names."""
    headers = {"Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if etag is not None:
            headers["If-Range"] = etag
    return Call(
        "GET",
        export_path(export_id, "/download"),
        _as_it_is,
        params=query(via=via),
        headers=headers,
    )


# -- what the calls are made of -------------------------------------------------------------------


def export_path(export_id: ExportId, rest: str = "") -> str:
    """Return the path of an export; whatever the id is, it stays one segment."""
    return f"/api/exports/{quote(str(export_id), safe='')}{rest}"


def query(**values: Any) -> dict[str, Any]:
    """Return the parameters that are given, as the API reads them."""
    return {name: to_jsonable_python(value) for name, value in values.items() if value is not None}


def parsed(model: Any) -> Callable[[Answer], Any]:
    """Return a reader of answers that are ``model``."""

    def parse(answer: Answer) -> Any:
        return model.model_validate_json(answer.body)

    return parse


_export = parsed(ExportDocument)


def _preview(answer: Answer) -> PreviewDocument:
    # Imported late: it brings SQLAlchemy with it, which nothing else of the client needs.
    from waybill.api.documents import PreviewDocument

    return PreviewDocument.model_validate_json(answer.body)


def _quota(answer: Answer) -> QuotaList:
    from waybill.api.documents import QuotaList

    return QuotaList.model_validate_json(answer.body)


def _offer(answer: Answer) -> OfferDocument:
    from waybill.api.documents import OfferDocument

    return OfferDocument.model_validate_json(answer.body)


def _as_it_is(answer: Answer) -> Answer:
    return answer


def _export_path(export_type: str) -> str:
    return f"/api/{quote(export_type, safe='')}/export"


def _body(options: Mapping[str, Any], known: type = RequestOptions) -> dict[str, Any]:
    unknown = options.keys() - known.__annotations__.keys()
    if unknown:
        raise TypeError(f"a request has no option {sorted(unknown)[0]!r}")
    body: dict[str, Any] = {
        name: to_jsonable_python(value) for name, value in options.items() if value
    }
    if "columns" in body:
        body["columns"] = [
            each if isinstance(each, str) else {"name": each[0], "as": each[1]}
            for each in body["columns"]
        ]
    return body
