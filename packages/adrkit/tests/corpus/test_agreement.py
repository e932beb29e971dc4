"""What a person reads in the records of three projects, and what adrkit reads in them.

``expectations.json`` was drawn up from the raw text by hand, without adrkit, for all 167 records:
title (as a hash: the text stays with its owners), status, date, relations and records linked, and
for the 102 whose decision begins with more than a line, how many sentences that paragraph has. A
record that changed since, by its own hash, is not compared.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from adrkit.lint.sentences import sentence_count
from adrkit.record import Record

EXPECTATIONS: dict[str, dict[str, Any]] = json.loads(
    Path(__file__).with_name("expectations.json").read_text()
)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:16]


def read(record: Record) -> dict[str, Any]:
    return {
        "title": digest(record.name.encode()),
        "status": record.status_kind.value if record.status_kind else None,
        "date": record.date_value.isoformat() if record.date_value else None,
        "relations": sorted([r.kind.value, r.number] for r in record.relations),
        "links": sorted({r.number for r in record.references if r.target}),
    }


@pytest.fixture(scope="module")
def compared(corpora: Path) -> dict[str, tuple[dict[str, Any], Record]]:
    found = {}
    for name, expected in EXPECTATIONS.items():
        path = corpora / name
        if path.exists() and digest(path.read_bytes()) == expected["sha256"]:
            found[name] = (expected, Record.read(path))
    return found


def test_agreement_with_a_reader_is_98_percent_of_each_kind_of_value(
    compared: dict[str, tuple[dict[str, Any], Record]],
) -> None:
    assert len(compared) >= 100
    right, total = Counter[str](), Counter[str]()
    wrong = []
    for name, (expected, record) in compared.items():
        for kind, value in read(record).items():
            for count in (f"{kind}, all records", *([f"{kind}, where there is one"] * bool(value))):
                total[count] += 1
                right[count] += value == expected[kind]
            if value != expected[kind]:
                wrong.append((name, kind, value, expected[kind]))
        for kind in ("status", "date", "relations", "links"):  # what is there and was overlooked
            if expected[kind] and not read(record)[kind]:
                total[f"{kind}, where there is one"] += 1
    shares = {kind: right[kind] / total[kind] for kind in total}
    assert min(shares.values()) >= 0.98, (shares, wrong)
    assert sum(total[k] for k in total if k.endswith("one")) >= 400  # no agreement on nothing


def test_sentences_are_counted_as_a_reader_does_in_98_of_100_decisions(
    compared: dict[str, tuple[dict[str, Any], Record]],
) -> None:
    wrong = {}
    counted = 0
    for name, (expected, record) in compared.items():
        if "sentences" in expected and record.decision:
            counted += 1
            found = sentence_count(record.decision.text)
            if found != expected["sentences"]:
                wrong[name] = (found, expected["sentences"])
    assert counted >= 100
    assert len(wrong) <= 0.02 * counted, wrong
