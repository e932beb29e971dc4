"""The page for Django projects says what the example does, which is as small as it says."""

from __future__ import annotations

import re
from pathlib import Path

from .conftest import EXAMPLE

PAGE = (Path(__file__).parents[5] / "docs" / "embedding-django.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def without_marks(text: str) -> str:
    return re.sub(r"  # waybill$", "", text, flags=re.MULTILINE)


def test_what_is_added_is_at_most_ten_lines_and_on_the_page() -> None:
    marked = [
        line
        for path in sorted(EXAMPLE.rglob("*.py"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.endswith("# waybill")
    ]
    assert 0 < len(marked) <= 10
    catalog = without_marks((EXAMPLE / "shop/exports.py").read_text(encoding="utf-8"))
    (block,) = [each for each in BLOCKS if "Catalog.from_django(" in each]
    assert block in catalog
    everything = PAGE.replace("python manage.py", "")
    for line in marked:
        if "waybill" in (said := line.removesuffix("# waybill").strip().rstrip(",")):
            assert said in everything, said


def test_every_refusal_is_on_the_page() -> None:
    from waybill.catalog.orm import REFUSED

    words = {
        "other": "QuerySet", "sliced": "slices", "union": "unions", "distinct": 'distinct("field")',
        "grouped": "groups", "annotated": "annotate()", "deferred": "defer", "unknown": "refused",
        "locking": "select_for_update", "text": "RawSQL", "alias": "another database",
        "type": "types of extensions", "zone": "what takes a time apart",
        "local": "times without `tzinfo`", "own": "SQL of its own",
    }  # fmt: skip
    assert set(words) == set(REFUSED)
    assert [word for word in words.values() if word not in PAGE] == []
