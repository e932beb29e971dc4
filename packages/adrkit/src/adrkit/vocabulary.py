"""Reading the vocabulary of records: numbers, statuses, relations, verdicts, titles, dates.

A status is its first word. What follows may declare relations to other records, and only in a
clause that does nothing else: "Accepted; supersedes ADR-NNNN", "Superseded by [7. T](0007-t.md)".
"the retry part was superseded by ADR-NNNN" and "not superseded by ADR-NNNN" are prose about
records, and no links.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator

from adrkit.document import Span, plain
from adrkit.model import (
    DeclaredRelation,
    RelationKind,
    Status,
    StatusField,
    Title,
    Verdict,
    VerdictKind,
)
from adrkit.reading import DEFAULT_READING, Reading

# --- numbers of records -----------------------------------------------------------------------

_NUMBERED_FILE = r"(?:adr[-_ ]?)?(\d{1,6})[a-z]?[-_][^\s()\[\]]*?\.(?:md|markdown)"
_NUMBER = re.compile(
    rf"(?:^|[(/\s<]){_NUMBERED_FILE}"
    r"|\bADR[-_ ]?#?(\d{1,6})(?!\d)(?P<more>(?:\s*/\s*\d{1,6}\b(?!-))*)|\[(\d{1,6})\.\s",
    re.IGNORECASE,
)
#: One record, as a list of successors names it; "12" and "#12" only there.
_LINK = r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\](?:\((?:<[^<>]*>|[^()\s]*)(?:\s+[^()]*)?\)|\[[^\[\]]*\])?"
_HTML_LINK = r"<a\s[^<>\n]*?href=[\"']?(?P<href>[^\"'\s<>]+)[^<>\n]*>[^<>\n]*</a>"
#: What people write before a number or link: "ADR [12](0012-x.md)", "ADRs 12", "decision no. 12".
_KIND_OF = (
    r"(?:(?:the|adrs?|rfcs?|decisions?|records?|number|no\.|nr\.?)[ \t]*:?[ \t]+)"
    r"{1,4}(?=[*_`]*(?:\[|#?\d|<a\s|adr[-_ #]?\d))"
)
_REFERENCE = re.compile(
    rf"(?:{_KIND_OF})?[*_]*`?(?:(?P<wiki>\[\[(?P<page>[^\[\]|\n]+)(?:\|[^\[\]\n]*)?\]\])"
    rf"|(?P<html>{_HTML_LINK})"
    rf"|(?P<link>{_LINK})"
    r"|(?P<named>(?:ADR|RFC)[-_ ]?#?(?P<number>\d{1,6})"
    r"(?P<more>(?:\s*/\s*\d{1,6}\b(?!-))*)(?![\w/]*\.\w))"
    r"|(?P<file>(?:[\w.-]+/)*[\w-]+\.(?:md|markdown)\b)"
    r"|(?P<bare>#?(?P<digits>\d{1,6})(?=[*_`]*\s*(?:$|[;,.)/&\n\]]|and\b|or\b|[–—(-]))))`?",
    re.IGNORECASE,
)
_JOINED = re.compile(
    r"[*_\s]*(?:(?:,|;|&|/|\+|and|or|und|et|y)(?![\w])[*_\s]*)+(?:by\b)?[*_\s]*", re.I
)


def record_numbers(text: str) -> tuple[int, ...]:
    """Numbers of the records named in ``text``, in order, each once: "ADR-0007", a link to
    ``0007-title.md`` or adr-tools' ``[7. Title](...)``."""
    found: dict[int, None] = {}
    for match in _NUMBER.finditer(text):
        found[int(next(group for group in match.groups() if group))] = None
        for more in re.findall(r"\d+", match["more"] or ""):
            found[int(more)] = None
    return tuple(found)


def _listed(text: str, start: int) -> tuple[tuple[int, ...], tuple[str, ...], int]:
    """Numbers and unnumbered link targets of the list of records at ``start``, and its end."""
    numbers: dict[int, None] = {}
    targets: dict[str, None] = {}
    position = end = start
    while match := _REFERENCE.match(text, position):
        own = next(
            match[kind] for kind in ("wiki", "html", "link", "named", "file", "bare") if match[kind]
        )
        lead = match["page"] or match["href"]
        if lead:
            within = record_numbers(f"{lead.strip()}.md" if match["page"] else lead)
            numbers |= dict.fromkeys(within)
            if not within:
                targets[lead.strip()] = None
        elif match["digits"]:
            numbers[int(match["digits"])] = None
        elif match["number"]:
            for digits in re.findall(r"\d+", own):
                numbers[int(digits)] = None
        else:
            within = record_numbers(own)
            if not within and (inner := re.match(r"!?\[(?:ADR|#)?\W*(\d{1,6})\]", own, re.I)):
                within = (int(inner.group(1)),)
            if not within and match["link"] and "](" not in own:
                break  # brackets that lead nowhere
            numbers |= dict.fromkeys(within)
            if not within:
                target = re.search(r"\]\(<?([^()<>\s]*)", own)
                targets[target.group(1) if target else own] = None
        end = match.end()
        joined = _JOINED.match(text, end)
        # adr-tools and people add the title: "ADR-0009 (Streaming)", "ADR-0009: Streaming".
        if joined is None or joined.end() == end:
            break
        position = joined.end()
    return tuple(numbers), tuple(targets), end


# --- statuses ---------------------------------------------------------------------------------

# Words found in real records and adr-tools templates, and what they mean.
_STATUS_WORDS = {
    "proposed": Status.PROPOSED, "draft": Status.PROPOSED, "pending": Status.PROPOSED,
    "accepted": Status.ACCEPTED, "approved": Status.ACCEPTED, "implemented": Status.ACCEPTED,
    "rejected": Status.REJECTED, "declined": Status.REJECTED,
    "deprecated": Status.DEPRECATED,
    "superseded": Status.SUPERSEDED, "superceded": Status.SUPERSEDED,
    "superseeded": Status.SUPERSEDED, "supersceded": Status.SUPERSEDED,
    "supercedeed": Status.SUPERSEDED, "superceeded": Status.SUPERSEDED,
}  # fmt: skip
STATUS_WORDS = tuple(_STATUS_WORDS)

_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^<>\n]*>")
_STRUCK = re.compile(r"~~(?=\S).*?~~", re.DOTALL)
_SHORTCODE = re.compile(r":[a-z0-9_+-]{2,}:")
_IMAGE = re.compile(r"!\[([^\[\]]*)\]\([^()]*\)")
# Word processors write other dashes, and those that never break a line.
_DASHES = "‐‑‒–—−"
_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]{0,6}\.?"
_DAY = (
    rf"(?:\d{{4}}[-/.{_DASHES}]\d{{1,2}}[-/.{_DASHES}]\d{{1,2}}(?:T[\d:.]+Z?)?"
    r"|\d{1,2}\.\d{1,2}\.\d{4}"
    rf"|\d{{1,2}}(?:st|nd|rd|th|\.)?\s+{_MONTH},?\s+\d{{4}}"
    rf"|{_MONTH}\s+\d{{1,2}}(?:st|nd|rd|th)?,?\s+\d{{4}})"
)
# What may stand before the word: marks, a checked box, the day, the label itself.
_LEAD = re.compile(rf"(?:\[[xX]\]|{_DAY}[\s:,–—-]*|status\s*:|[^\w\[]|_|\[(?![xX ]\]))*", re.I)
_DAY_BEFORE = re.compile(rf"[^\w\[]*({_DAY})", re.I)
_DAY_BEHIND = re.compile(
    rf"[*_\s]*(?:[(\[,:–—-]\s*)?(?:(?:on|at|as of|since|in)\s+)?({_DAY})", re.I
)
_LETTERS = re.compile(r"[^\W\d_]+")
_SECOND = re.compile(
    r"[*_\s\])}]*(?:\([^()]*\)\s*)?(?P<mark>/|\||·|•|\bor\b)[*_\s\[({]*(?=[^\W\d_])", re.I
)
_CLAUSE = r"(?:^|[;,.(\n→>]|->|\s[–—-]\s)"
_WHOLE = (
    r"(?:(?:and|also|now|but|then|later|since|this|the|it|adr|decision|record|document|"
    r"proposal|is|was|has|been)\s+)*"
)
_RELATION = re.compile(
    rf"(?P<lead>{_CLAUSE})(?P<before>[\s*_\"'✅❌🔴🟡🟢⚫⚠\ufe0f]*){_WHOLE}[*_]*\[?"
    r"(?:(?P<by>super[cs]e+(?:d|ed|ded)e?d[*_]*(?:\s+|\s*[(–—-]\s*)by\b"
    r"|replaced\s+by|obsoleted\s+by)"
    r"|(?P<of>super[cs]e+(?:d|ed)?es\b|replaces\b|obsoletes\b)"
    r"|(?P<amended>amended\s+by)|(?P<amends>amends\b))[*_]*\s*:?[*_\s]*",
    re.IGNORECASE,
)
_BEHIND_KEY = re.compile(r"[*_]*\s*:?[*_\s]*")
_KINDS = {
    "by": RelationKind.SUPERSEDED_BY, "of": RelationKind.SUPERSEDES,
    "amended": RelationKind.AMENDED_BY, "amends": RelationKind.AMENDS,
}  # fmt: skip
# What may follow the records in a clause that is not the first: nothing more is said there.
_AFTER = re.compile(
    rf"[*_\"'\s]*(?:\(?(?:on\s+)?{_DAY}\)?|\([^()\n]*\))?[*_\"'\s]*(?=$|[;.,)\n<]|\s[–—-]\s)"
)
#: What stands further behind is prose, however long.
_LONGEST_STATUS = 2000
_MOVES_ON = (Status.PROPOSED, Status.ACCEPTED, Status.DEPRECATED)


def status_word(text: str, reading: Reading = DEFAULT_READING) -> tuple[Span, int]:
    """Where the word stands in a status as written, and where the day behind it ends, or itself."""
    text = _quiet(text[:_LONGEST_STATUS])
    lead = _LEAD.match(text)
    low = lead.end() if lead else 0
    _, _, high = _word_at(text, low, reading)
    day = _DAY_BEHIND.match(text, high)
    end = day.end() if day else high
    closing = re.compile(r"[)\]*_]*").match(text, end)
    return Span(low, high), closing.end() if day and closing else end


def status_kind(word: str, reading: Reading = DEFAULT_READING) -> Status | None:
    folded = word.casefold()
    return reading.status_words.get(folded) or _STATUS_WORDS.get(folded)


def misspelled(word: str) -> bool:
    """Whether ``word`` is Superseded in a wrong spelling; other words that are understood are
    words of their own."""
    folded = word.casefold()
    return _STATUS_WORDS.get(folded) is Status.SUPERSEDED and folded != "superseded"


def read_status(raw: str, span: Span, line: int, reading: Reading = DEFAULT_READING) -> StatusField:
    raw_text, raw = raw, raw[:_LONGEST_STATUS]
    text = _quiet(raw)
    start = _LEAD.match(text)
    low = start.end() if start else 0
    kind, word, high = _word_at(text, low, reading)
    others: list[str] = []
    undecided = False
    position = high
    while kind is not None and (following := _SECOND.match(text, position)):
        other, other_word, end = _word_at(text, following.end(), reading)
        if other is not None and other is not kind:
            others.append(other_word)
            undecided = undecided or following["mark"] not in "·•"
        position = max(end, following.end())
    if undecided:  # "Rejected/Accepted", "Proposed | Accepted": nobody has decided which
        kind = None
    # What leads to the word, as the day of an entry does, is no clause of its own.
    relations = tuple(_declared(raw, " " * low + text[low:], low))
    if (
        kind is None
        and not others
        and text[low:].casefold().startswith(("replaced by", "obsoleted"))
    ):
        kind = (
            Status.SUPERSEDED
            if any(r.kind is RelationKind.SUPERSEDED_BY for r in relations)
            else None
        )
    successors = [r for r in relations if r.kind is RelationKind.SUPERSEDED_BY]
    if successors and kind in _MOVES_ON:
        kind = Status.SUPERSEDED  # "Accepted, superseded by ADR-0009": it was accepted
    elif successors and kind is None and not others and relations[0].start <= low:
        kind = Status.SUPERSEDED  # "Supersedes ADR-0001; superseded by ADR-0009"
    note = text[high:].strip(" \t*_.,;:—–-\"'") if word else ""
    day = _DAY_BEFORE.match(text) or _DAY_BEHIND.match(text, high)
    return StatusField(
        kind, word, raw_text, note,
        tuple(dict.fromkeys(n for r in successors for n in r.numbers)),
        tuple(dict.fromkeys(n for r in relations if r.kind is RelationKind.SUPERSEDES
                            for n in r.numbers)),
        span, line, relations, tuple(others), day.group(1) if day else None,
        kind is not None and misspelled(word),
    )  # fmt: skip


def _quiet(raw: str) -> str:
    """``raw`` with what a reader does not read made blank; every offset stays."""
    text = raw
    for pattern in (_COMMENT, _STRUCK, _TAG, _SHORTCODE):
        text = pattern.sub(lambda found: " " * len(found.group()), text)
    return _IMAGE.sub(lambda m: f"  {m.group(1)}".ljust(len(m.group())), text)


def _word_at(text: str, low: int, reading: Reading) -> tuple[Status | None, str, int]:
    """The status at ``low``: its kind, the word as written, where it ends."""
    folded = text[low:].casefold()
    for own in sorted(reading.status_words, key=len, reverse=True):
        if folded.startswith(own) and not folded[len(own) : len(own) + 1].isalnum():
            return reading.status_words[own], text[low : low + len(own)], low + len(own)
    match = _LETTERS.match(text, low)
    if match is None:
        return None, "", low
    return status_kind(match.group(), reading), match.group(), match.end()


def _declared(raw: str, text: str, low: int) -> Iterator[DeclaredRelation]:
    """Relations that a clause of the status declares; see the module's text."""
    position = 0
    while match := _RELATION.search(text, position):
        name = next(key for key in _KINDS if match[key])
        # As written first: a link in HTML is blank in what a reader reads.
        numbers, targets, end = _listed(raw, _after_key(raw, match.end(name)))
        if not (numbers or targets):
            numbers, targets, end = _listed(raw, match.end())
        # The clause's own "[" belongs to "[Superseded by ADR-5](0005-x.md)".
        if (
            not numbers
            and not targets
            and (link := re.match(r"[^\[\]\n]*\]\(([^()\s]+)", raw[match.end() :]))
        ):
            end = match.end() + link.end()
            numbers = record_numbers(link.group(1))
            targets = () if numbers else (link.group(1),)
        position = max(end, match.start() + 1, match.end() - 1)
        first = match.start(name) <= low or not text[: match.start(name)].strip(" \t\n*_\"'[(")
        if not (numbers or targets):
            continue
        own_line = (
            raw.rfind("\n", 0, match.start(name)) >= match.start("lead") and match["lead"] == "\n"
        )
        if first or own_line or _AFTER.match(raw, end):
            yield DeclaredRelation(_KINDS[name], numbers, targets, match.start(name), end)


def _after_key(raw: str, position: int) -> int:
    following = _BEHIND_KEY.match(raw, position)
    return following.end() if following else position


def relation_values(values: tuple[str, ...]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Records that a key such as ``supersedes`` names: "ADR-0005", "5", a link, a file name."""
    numbers: dict[int, None] = {}
    targets: dict[str, None] = {}
    for value in (value[:_LONGEST_STATUS] for value in values):
        text = (
            value.strip().strip("[]{}\"' ")
            if not value.strip().startswith("[") or "](" not in value
            else value.strip()
        )
        found, leads, _ = _listed(text, 0)
        numbers |= dict.fromkeys(found or record_numbers(text))
        if not numbers:
            targets |= dict.fromkeys(leads)
    return tuple(numbers), tuple(targets)


def leading_records(text: str) -> tuple[int, ...]:
    """Records that ``text`` begins with, as a list: what is said of others after them is prose."""
    text = text[:_LONGEST_STATUS]
    numbers, _, end = _listed(text, 0)
    if numbers or end:
        return numbers
    clause = re.split(r"[;.]\s|\n|\s[–—-]\s|\(", text, maxsplit=1)[0]
    return () if _DENIED.match(clause) else record_numbers(clause)


_DENIED = re.compile(
    r"[*_\s]*(?:not|no|none|n/?a|nothing|parts?|partly|partially)\b", re.IGNORECASE
)


# --- headings ---------------------------------------------------------------------------------

_UNREAD_OF_HEADING = re.compile(r"<!--.*?-->|</?[A-Za-z][^<>]*>|\s\{[#.:][^{}]*\}\s*$")
_BEFORE = re.compile(r"[\W_]*(?:\d{1,2}(?:\.\d{1,2})*[.)]?\s[\W_]*)?")
_BEHIND = re.compile(r"[^\w)]+$")


def heading_words(text: str) -> str:
    """The words of a heading without comments, tags, an anchor, a number and symbols around them:
    "Status" of "2. 🟢 Status: {#status}"."""
    words = plain(_UNREAD_OF_HEADING.sub("", text))
    lead = _BEFORE.match(words)
    words = words[lead.end() :] if lead else words
    return _BEHIND.sub("", words)


# --- dates ------------------------------------------------------------------------------------

_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan january", "feb february", "mar march", "apr april", "may", "jun june", "jul july",
         "aug august", "sep sept september", "oct october", "nov november", "dec december"), 1
    )
    for name in names.split()
}  # fmt: skip
_DATES = (
    re.compile(r"(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?!\d)"),
    re.compile(r"(?P<y>\d{4})[/. ](?P<m>\d{1,2})[/. ](?P<d>\d{1,2})(?!\d)"),
    re.compile(r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?!\d)"),
    re.compile(r"(?P<d>\d{1,2})\.\s?(?P<m>\d{1,2})\.\s?(?P<y>\d{4})(?!\d)"),
    re.compile(r"(?P<name>[A-Za-z]{3,9})\.?\s+(?P<d>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<y>\d{4})(?!\d)"),
    re.compile(r"(?P<d>\d{1,2})(?:st|nd|rd|th|\.)?[\s-]+(?:of\s+)?(?P<name>[A-Za-z]{3,9})\.?,?[\s-]+(?P<y>\d{4})(?!\d)"),
)  # fmt: skip
_EITHER = re.compile(r"(?P<a>\d{1,2})[/-](?P<b>\d{1,2})[/-](?P<y>\d{4})(?!\d)")
_WEEKDAY = re.compile(
    r"[*_`\"'(\[\s]*(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?,?\s+)?", re.I
)


def read_date(text: str) -> datetime.date | None:
    """The day that ``text`` begins with. None for "03/04/2026": nobody knows which day that is."""
    text = text.translate(dict.fromkeys(map(ord, _DASHES), "-"))
    lead = _WEEKDAY.match(text)
    text = text[lead.end() :] if lead else text
    for pattern in _DATES:
        if match := pattern.match(text):
            parts = match.groupdict()
            month = _MONTHS.get(parts["name"].casefold()) if "name" in parts else int(parts["m"])
            return _day(int(parts["y"]), month, int(parts["d"]))
    if match := _EITHER.match(text):
        a, b, year = int(match["a"]), int(match["b"]), int(match["y"])
        if a == b or (a > 12) != (b > 12):
            return _day(year, min(a, b) if a != b else a, max(a, b))
    return None


def _day(year: int, month: int | None, day: int) -> datetime.date | None:
    try:
        return datetime.date(year, month, day) if month else None
    except ValueError:
        return None


# --- verdicts and titles ----------------------------------------------------------------------

_VERDICT_MARKS = {
    "✅": VerdictKind.CHOSEN, "✔": VerdictKind.CHOSEN, "☑": VerdictKind.CHOSEN,
    "❌": VerdictKind.REJECTED, "✗": VerdictKind.REJECTED, "✖": VerdictKind.REJECTED,
    "⏸": VerdictKind.FUTURE, "⏳": VerdictKind.FUTURE,
}  # fmt: skip
_VERDICT_WORDS = (
    ("chosen", VerdictKind.CHOSEN), ("selected", VerdictKind.CHOSEN),
    ("accepted", VerdictKind.CHOSEN), ("rejected", VerdictKind.REJECTED),
    ("future consideration", VerdictKind.FUTURE), ("deferred", VerdictKind.FUTURE),
    ("future", VerdictKind.FUTURE), ("not chosen", VerdictKind.REJECTED),
)  # fmt: skip
_VERDICT = re.compile(
    r"\s*(?P<mark>[✅✔☑❌✗✖⏸⏳]?)\ufe0f?\s*[*_]*(?P<word>[^\W\d_]+(?: [^\W\d_]+)?)?[*_]*"
    r"(?P<rest>.*)",
    re.DOTALL,
)


def read_verdict(raw: str, span: Span, line: int) -> Verdict:
    match = _VERDICT.match(raw)
    if match is None:  # cannot be: every part is optional
        return Verdict(None, "", "", raw.strip(), raw, span, line)
    mark, rest = match["mark"], match["rest"]
    words = (match["word"] or "").casefold()
    kind = _VERDICT_MARKS.get(mark)
    word = ""
    for known, known_kind in _VERDICT_WORDS:
        if words == known or words.startswith(known + " "):
            word = (match["word"] or "")[: len(known)]
            kind = kind or known_kind
            rest = raw[match.start("word") + len(known) :]
            break
    else:
        if match["word"]:
            rest = raw[match.start("word") :]
    reason = rest.strip().lstrip("*_ ").lstrip("-–—:,; ").strip()
    return Verdict(kind, mark, word, reason, raw, span, line)


def verdict_kinds(raw: str) -> tuple[VerdictKind, ...]:
    """Everything that marks and the word of a verdict say, each once: one kind if all is well."""
    found: dict[VerdictKind, None] = {}
    head = re.split(r"\s[-–—]\s|[:;(]", raw, maxsplit=1)[0]
    for mark in _VERDICT_MARK.findall(head):
        found[_VERDICT_MARKS[mark]] = None
    words = " ".join(re.findall(r"[^\W\d_]+", head)).casefold()
    for known, kind in sorted(_VERDICT_WORDS, key=lambda pair: -len(pair[0])):
        if words == known or words.startswith(f"{known} "):
            found[kind] = None
            break
    return tuple(found)


_VERDICT_MARK = re.compile(f"[{''.join(_VERDICT_MARKS)}]")


_TITLE = re.compile(
    r"(?P<prefix>(?:(?:ADR[-_ ])?draft-\S+-[2-9b-df-hjkmnp-tv-z]{8}(?:\s*[:.]\s*|$))"
    r"|(?:\[?(?:ADR|RFC|Architect\w+ Decision(?: Record)?|Decision(?: Record)?)[-_ ]?#?"
    r"(?P<adr>\d{1,6})(?P<letter>[a-z]?)\]?(?:\s*[:.–—-]\s*|\s+|$))"
    r"|(?:(?P<plain>\d{1,6})(?P<letter2>[a-z]?)(?:\s*[.:)]\s+|\s+[-–—]\s+)))",
    re.IGNORECASE,
)


def read_title(raw: str, span: Span, line: int) -> Title:
    match = _TITLE.match(raw)
    if match is None:
        return Title(raw, raw, None, "", "", span, line)
    prefix = match["prefix"]
    digits = match["adr"] or match["plain"]  # neither in a draft's title
    number = int(digits) if digits else None
    suffix = match["letter"] or match["letter2"] or ""
    return Title(raw[len(prefix) :].strip(), raw, number, suffix, prefix, span, line)
