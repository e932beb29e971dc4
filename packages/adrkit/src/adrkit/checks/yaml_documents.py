"""Which document of a YAML stream is meant: by its index, or by its kind and name (Kubernetes)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from adrkit.checks.verdict import CannotEvaluate, Evidence, MissingEvidence


def chosen_document(path: str, documents: Sequence[Any], selector: str | int | None) -> Any:
    """The document that is not empty and that ``selector`` names: an index from 0, or
    ``Kind/name`` or ``Kind/namespace/name``. Without it there must be one.

    Raises MissingEvidence, and CannotEvaluate where several are meant.
    """
    where = Evidence(path)
    filled = [document for document in documents if document is not None]
    if selector is None:
        if len(filled) > 1:
            raise CannotEvaluate(
                f"{path} holds {len(filled)} documents: say with `document` which one is meant "
                f"({_shown(filled)})",
                where,
            )
        return filled[0] if filled else None
    if isinstance(selector, int):
        if selector >= len(filled):
            raise MissingEvidence(f"{path} has {len(filled)} documents, none at {selector}", where)
        return filled[selector]
    matching = [item for item in _unpacked(filled) if selector in _names(item)]
    if not matching:
        raise MissingEvidence(f"{path} holds no {selector} ({_shown(filled)})", where)
    if len(matching) > 1:
        raise CannotEvaluate(
            f"{path} holds {len(matching)} documents {selector}: write Kind/namespace/name, "
            "or an index",
            where,
        )
    return matching[0]


def _unpacked(documents: Sequence[Any]) -> list[Any]:
    """The documents, and the items of a ``kind: List``."""
    found: list[Any] = []
    for document in documents:
        found.append(document)
        if isinstance(document, dict) and str(document.get("kind", "")).endswith("List"):
            items = document.get("items")
            found += items if isinstance(items, list) else []
    return found


def _names(document: Any) -> tuple[str, ...]:
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        return ()
    kind, metadata = document.get("kind"), document["metadata"]
    name, space = metadata.get("name"), metadata.get("namespace")
    if kind is None or name is None:
        return ()
    return (f"{kind}/{name}", f"{kind}/{space or 'default'}/{name}")


def _shown(documents: Sequence[Any]) -> str:
    named = [names[0] for item in _unpacked(documents) if (names := _names(item))]
    return ", ".join(named[:8]) + (", …" if named[8:] else "") if named else "by its index, from 0"
