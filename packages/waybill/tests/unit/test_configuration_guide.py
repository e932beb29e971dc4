from __future__ import annotations

from pathlib import Path

from waybill.cli.settings import as_markdown, reference

GUIDE = Path(__file__).parents[4] / "docs" / "configuration.md"


def test_guide_is_what_the_code_says() -> None:
    assert GUIDE.read_text(encoding="utf-8") == as_markdown(reference()), (
        "run: waybill settings --markdown > docs/configuration.md"
    )


def test_every_setting_says_what_it_is_for() -> None:
    assert [variable for variable, _, meaning in reference() if not meaning] == []
