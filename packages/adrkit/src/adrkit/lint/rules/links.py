"""ADR6xx: links, cited records and paths."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote

from adrkit.document import LinkKind, Span
from adrkit.lint.rule import Group, Problem, ProjectView, Severity
from adrkit.model import ReferenceKind, Status
from adrkit.names import real_path
from adrkit.record import Record
from adrkit.vocabulary import record_numbers

GROUP = Group()

# Media types look like paths (RFC 6838, section 4.2.7).
_MEDIA = {
    "application", "audio", "font", "image", "message", "model", "multipart", "text", "video",
}  # fmt: skip
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")
_BARE_PATH = re.compile(r"[\w.-]+(?:/[\w.-]+)+\.[A-Za-z0-9]{1,8}")
_ENDING = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,7}$")
#: Decisions that are over describe code as it was; their paths are history.
_LIVE = (Status.PROPOSED, Status.ACCEPTED, None)


@GROUP.rule("ADR601", "link-broken", remedy="mend the link, or remove it")
def link_broken(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Links are how a reader gets from a decision to what it rests on. Where git knows where
    a file went, a decided record is left as it is; for a proposed one the finding names the
    place."""
    if record.path is None:
        return
    for link in record.document.links:
        target = unquote(link.target.split("#")[0].split("?")[0])
        if not target or _SCHEME.match(target) or target.startswith("//") or "@" in target:
            continue
        base = project.root if target.startswith("/") else record.path.parent
        path = base / target.lstrip("/")
        if leaves_project(path, project):
            continue  # ADR607
        if not project.exists(path):
            yield Problem(
                f"link to {link.target!r} leads nowhere", link.span, (), _relative(path, project)
            )


def leaves_project(path: Path, project: ProjectView) -> bool:
    # Lexically: `..` must not lead out, whatever is on this machine's disk.
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return not Path(*parts).is_relative_to(project.root)


def _relative(path: Path, project: ProjectView) -> str:
    try:
        return real_path(path).relative_to(real_path(project.root)).as_posix()
    except (ValueError, OSError):
        return path.as_posix()


@GROUP.rule(
    "ADR602", "path-missing",
    remedy="name the path as it is now, or supersede the decision if the code is gone",
)  # fmt: skip
def path_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """Of the repository paths in public records 15 % are dead. Where git knows where a file
    went, a decided record is left as it is; for a proposed one the finding names the place. Line
    numbers are ignored; records that are no longer in force may speak of what was; in a proposed
    one it is a warning, the path may be still to come."""
    if record.path is None or record.status_kind not in _LIVE:
        return
    severity = Severity.ERROR if record.status_kind is Status.ACCEPTED else Severity.WARNING
    for path, span in _cited(record, project):
        places = (project.root / path, record.path.parent / path)
        if not any(project.exists(place) for place in places):
            yield Problem(f"{path!r} does not exist", span, (), path.rstrip("/"), severity)


def _cited(record: Record, project: ProjectView) -> Iterable[tuple[str, Span]]:
    for cited in record.cited_paths:
        first = cited.path.split("/")[0]
        if cited.is_link or first in ("", "~", "..") or first in _MEDIA:
            continue  # links: ADR601; a leading slash: a route or another machine's path
        if "/" not in cited.path.rstrip("/") and not cited.path.endswith("/"):
            continue  # a bare file name may stand anywhere
        named = _ENDING.search(cited.path) or cited.path.endswith("/")
        if named or project.exists(project.root / first):
            yield cited.path.removeprefix("./"), cited.span
    for entry in record.related:
        if entry.label.casefold() not in ("code", "tdd"):
            continue
        text = record.document.slice(entry.value_span)
        for match in re.finditer(r"[^\s,;]+", text):
            if _BARE_PATH.fullmatch(match.group()):
                low = entry.value_span.start + match.start()
                yield match.group(), Span(low, low + len(match.group()))


@GROUP.rule("ADR603", "record-unknown", remedy="`adr list` shows the records there are")
def record_unknown(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A number that no record has is a typing error, or a record that was removed."""
    declared = {relation.number for relation in record.relations}  # ADR702
    for reference in record.references:
        if reference.kind is ReferenceKind.LINK:
            continue  # ADR601 looks at the file
        if reference.number not in project.numbers and reference.number not in declared:
            yield Problem(f"no record ADR-{reference.number:04d}", reference.span)


@GROUP.rule(
    "ADR604", "anchor-missing", severity=Severity.WARNING, remedy="name a heading of this record"
)
def anchor_missing(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A link within the record must name one of its headings as GitHub writes them."""
    anchors: set[str] | None = None
    for link in record.document.links:
        if not link.target.startswith("#") or len(link.target) == 1:
            continue
        if anchors is None:
            anchors = _anchors(record)
        if unquote(link.target[1:]).casefold() not in anchors:
            yield Problem(f"no heading for {link.target!r}", link.span)


def _anchors(record: Record) -> set[str]:
    found: set[str] = set(re.findall(r"(?:id|name)=[\"']([^\"']+)", record.document.text))
    counts: dict[str, int] = {}
    for heading in record.document.headings:
        text = re.sub(r"[^\w\- ]", "", heading.plain.casefold()).replace(" ", "-")
        seen = counts.get(text, 0)
        counts[text] = seen + 1
        found.add(f"{text}-{seen}" if seen else text)
    return found


@GROUP.rule(
    "ADR605", "link-text-number", remedy="let text and target of the link name the same record"
)
def link_text_number(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A link that says ADR-0003 and leads to 0004 misleads everyone who does not click."""
    for reference in record.references:
        if reference.kind is ReferenceKind.LINK and "ADR" in reference.text.upper():
            named = record_numbers(reference.text)
            if len(named) == 1 and named[0] != reference.number:
                yield Problem(
                    f"text says ADR-{named[0]:04d}, target {reference.target!r}", reference.span
                )


@GROUP.rule("ADR606", "link-empty", remedy="give the link a target")
def link_empty(record: Record, project: ProjectView) -> Iterable[Problem]:
    """A link without target leads nowhere."""
    for link in record.document.links:
        if link.kind is LinkKind.INLINE and not link.target:
            yield Problem(f"link {link.text!r} has no target", link.span)


@GROUP.rule("ADR607", "link-outside", remedy="link to a file of the project, or to a web address")
def link_outside(record: Record, project: ProjectView) -> Iterable[Problem]:
    """What lies outside of the project is not there for the next reader."""
    if record.path is None:
        return
    for link in record.document.links:
        target = unquote(link.target.split("#")[0])
        outside = target.startswith("file:")
        if target and not _SCHEME.match(target) and not target.startswith("/"):
            outside = leaves_project(record.path.parent / target, project)
        if outside:
            yield Problem(f"link to {link.target!r} leaves the project", link.span)
