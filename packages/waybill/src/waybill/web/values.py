"""How values look on pages: numbers, sizes, times and durations, in the reader's language. Times
carry their instant, so that the script shows them in the reader's own zone."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from markupsafe import Markup

from waybill.principal import UNSEEN
from waybill.storage.disposition import safe_file_name

_UNITS: Final = ("B", "kB", "MB", "GB", "TB", "PB")
# A symbol may be followed by how it is to be drawn: as text or as a picture.
_SHOWN_BY_NUMBER: Final = re.compile(
    "(?<![\u00a9\u00ae\u203c-\u3299\U0001f000-\U0001faff])[\ufe0e\ufe0f]"
    rf"|(?![\ufe0e\ufe0f]){UNSEEN.pattern}|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
)


def number(value: float | None, lang: str) -> str:
    """Return a number with its thousands apart; a dash for none."""
    if value is None:
        return "–"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.1f}".removesuffix(".0")
    return text.translate(str.maketrans(",.", ".,")) if lang == "de" else text


def roughly(value: int) -> int:
    """Return a number as an estimate has it: two digits, and noughts."""
    return int(float(f"{value:.1e}"))


def size(value: int | None, lang: str) -> str:
    """Return a size in decimal units; a dash for none."""
    if value is None:
        return "–"
    amount, unit = float(value), 0
    while amount >= 999.5 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    shown = number(round(amount, 1) if unit and amount < 99.5 else round(amount), lang)
    return f"{shown}\u00a0{_UNITS[unit]}"


def duration(seconds: float | None) -> str:
    """Return ``5 s``, ``2 min 5 s``, ``3 h 2 min`` or ``2 d 3 h``; a dash for none."""
    if seconds is None:
        return "–"
    whole = max(0, round(seconds))
    for unit, length, lower, below in (("d", 86_400, "h", 3_600), ("h", 3_600, "min", 60),
                                       ("min", 60, "s", 1)):  # fmt: skip
        if whole >= length:
            rest = whole % length // below
            return f"{whole // length} {unit}" + (f" {rest} {lower}" if rest else "")
    return f"{whole} s" if seconds >= 1 or not seconds else "< 1 s"


def moment(value: datetime | str | None) -> Markup:
    """Return an instant as an element that the script puts into the reader's zone."""
    if value is None:
        return Markup("–")
    at = (datetime.fromisoformat(value) if isinstance(value, str) else value).astimezone(UTC)
    instant = at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    # Digits alone: nothing to escape, which a page with a hundred of them would wait for.
    return Markup(f'<time datetime="{instant}">{instant[:10]} {instant[11:16]} UTC</time>')  # noqa: S704


def visible(value: object) -> str:
    """Return a text whose invisible and direction-changing characters show as what they are: a name
    must not look like another (CVE-2021-42574)."""
    return _SHOWN_BY_NUMBER.sub(lambda found: f"⟨U+{ord(found[0]):04X}⟩", str(value))


def saved_as(name: object) -> str:
    """Return the name that a file gets when it is saved, as a word of a shell."""
    return shlex.quote(safe_file_name(str(name)))


def tojson_plain(value: object) -> str:
    """Return a value as JSON, to be escaped by the page like any text."""
    return json.dumps(value, ensure_ascii=False)


FILTERS: Final[dict[str, Callable[..., Any]]] = {
    "number": number,
    "roughly": roughly,
    "size": size,
    "duration": duration,
    "moment": moment,
    "saved_as": saved_as,
    "safe_file_name": safe_file_name,
    "visible": visible,
    "tojson_plain": tojson_plain,
}
