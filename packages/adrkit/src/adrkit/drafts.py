"""Names for records that have no number yet, which no two people, branches or programs can share.

A draft is the file ``draft-SLUG-KEY.md`` with the title ``# ADR-draft-SLUG-KEY: Title``. The key
is random and decides alone: whatever becomes of the slug (retitled, percent-encoded, in another
Unicode normal form), ``draft-…-KEY`` means this record. A comment ``<!-- adr-draft: KEY -->`` stays
in the record after it has its number, so that a branch that comes late with ``ADR-draft-…`` still
finds it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

# No vowels, no 0 and 1: a key is never a word, a date or the beginning of a commit's id.
_ALPHABET = "23456789bcdfghjkmnpqrstvwxyz"
_KEY_LENGTH = 8  # 28 ** 8: among 10,000 drafts the odds of a pair are 1 in 7,500
_KEY = rf"[{_ALPHABET}]{{{_KEY_LENGTH}}}"
_STEM = re.compile(rf"draft-(?:(?P<slug>.+)-)?(?P<key>{_KEY})", re.IGNORECASE)
_COMMENT = re.compile(rf"<!--[ \t]*adr-draft:[ \t]*(?P<key>{_KEY})[ \t]*-->", re.IGNORECASE)
# What may stand between `draft-` and the key: a slug, as it is or percent-encoded.
_SLUG = r"(?:[^\s/()\[\]{}<>\"'`#?|,;:]{1,400}?-)?"
_PINNED = re.compile(r"/(?:blob|raw|tree|blame)/[0-9a-f]{7,64}/(?:[^\s()\[\]<>\"'`]*/)?$")


@dataclass(frozen=True, slots=True)
class DraftName:
    """``key`` is lower case; ``slug`` as the file name has it, perhaps "draft"."""

    slug: str
    key: str

    @property
    def stem(self) -> str:
        """``draft-SLUG-KEY``; the label is ``ADR-`` before it."""
        return f"draft-{self.slug}-{self.key}"

    @property
    def label(self) -> str:
        return f"ADR-{self.stem}"


@dataclass(frozen=True, slots=True)
class DraftMention:
    """``draft-…-KEY`` in a text, with ``ADR-`` before it or ``.md`` behind it if written so."""

    key: str
    start: int
    end: int
    adr: str  # "ADR-" as written, or ""
    suffix: str  # ".md" as written, or ""


def new_draft_name(slug: str) -> DraftName:
    return DraftName(slug, "".join(secrets.choice(_ALPHABET) for _ in range(_KEY_LENGTH)))


def draft_name(path: Path) -> DraftName | None:
    """The draft that a file name names, None for any other file."""
    if path.suffix.lower() not in (".md", ".markdown"):
        return None
    match = _STEM.fullmatch(path.stem)
    return DraftName(match["slug"] or "draft", match["key"].lower()) if match else None


def draft_comment(key: str) -> str:
    return f"<!-- adr-draft: {key} -->"


def key_of_comment(text: str) -> str | None:
    """The draft that a record was, by the comment that it keeps."""
    match = _COMMENT.search(text)
    return match["key"].lower() if match else None


def draft_mentions(text: str, keys: Iterable[str] | None = None) -> Iterator[DraftMention]:
    """Every mention of the drafts ``keys``; None: ``ADR-draft-…`` of whatever key, and no others.

    Links to a file as a certain commit has it are no mentions: there it keeps its old name.
    """
    if keys is None:
        wanted, adr = _KEY, r"(?P<adr>ADR[-_ ])"
    else:
        known = sorted(set(keys))
        if not known:
            return
        wanted, adr = "|".join(map(re.escape, known)), r"(?P<adr>ADR[-_ ])?"
    pattern = (
        rf"(?<!\w){adr}draft-{_SLUG}(?P<key>{wanted})(?P<suffix>\.(?:md|markdown)(?!\w))?(?!\w)"
    )
    for match in re.finditer(pattern, text, re.IGNORECASE):
        if _PINNED.search(text, max(0, match.start() - 400), match.start()):
            continue
        yield DraftMention(
            match["key"].lower(), match.start(), match.end(), match["adr"] or "",
            match["suffix"] or "",
        )  # fmt: skip


def may_mention_drafts(data: bytes) -> bool:
    """A quick look, before a file is decoded."""
    return b"draft-" in data.lower()


def renamed(
    mention: DraftMention, text: str, numbers: Mapping[str, int], stem_of: Callable[[str], str]
) -> str | None:
    """What stands for ``mention`` now; None for a directory of that name, which stays.

    ``stem_of`` gives the file name of a key without its ending.
    """
    if mention.suffix:
        return f"{stem_of(mention.key)}{mention.suffix}"
    if mention.adr:
        return f"{mention.adr}{numbers[mention.key]:04d}"
    return None if text[mention.end : mention.end + 1] == "/" else stem_of(mention.key)
