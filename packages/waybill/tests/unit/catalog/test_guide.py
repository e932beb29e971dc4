"""The guide under test: each example of docs/catalog.md does what the text says."""

import json
import re
from pathlib import Path

import pytest

import waybill
from waybill.catalog import Catalog, CatalogFileError, TableSource
from waybill.catalog.toml import ExportTable, parse_catalog

GUIDE = Path(__file__).resolve().parents[5] / "docs" / "catalog.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def _blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", _blocks("toml"))
def test_every_toml_example_loads(block: str) -> None:
    assert len(parse_catalog(block)) > 0


def test_wrong_example_gives_the_message_shown() -> None:
    (wrong,) = _blocks("toml error")
    (message,) = _blocks("text")
    with pytest.raises(CatalogFileError) as caught:
        parse_catalog(wrong)
    assert str(caught.value) == message.rstrip("\n")


def test_python_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in _blocks("python"):
        exec(block, names)  # noqa: S102 - the guide's own examples
    assert isinstance(names["catalog"], Catalog)
    assert set(names["catalog"]) == {"users", "teams"}
    assert json.loads((tmp_path / "waybill.schema.json").read_text())["type"] == "object"


def test_table_of_names_is_true() -> None:
    rows = re.findall(r"^\| (`.*table = .*`) \| (.+) \| (.+) \|$", TEXT, re.MULTILINE)
    assert len(rows) == 6
    for written, schema, table in rows:
        lines = "\n".join(re.findall(r"`([^`]+)`", written))
        source = parse_catalog(f"[exports.it]\n{lines}")["it"].source
        assert source == TableSource(schema, table)


def test_every_key_of_an_export_is_explained() -> None:
    explained = re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", TEXT, re.MULTILINE)
    known = [field.alias or name for name, field in ExportTable.model_fields.items()]
    assert sorted(set(explained) & set(known)) == sorted(known)


def test_every_finding_is_listed_with_its_severity() -> None:
    listed = {
        (severity, code)
        for codes, severity in re.findall(r"^\| (`.+`) \| (error|warning|note) \|", TEXT, re.M)
        for code in re.findall(r"`(\w+)`", codes)
    }
    package = Path(waybill.__file__).parent
    source = "".join(
        module.read_text(encoding="utf-8") for module in sorted(package.glob("*/check*.py"))
    )
    finding = r'inding\(\s*"(error|warning|note)"[^,]*,\s*(?:(?:""|[a-z_.]+),\s*)?"(\w+)"'
    raised = set(re.findall(finding, source))
    computed = {("error", "column_missing"), ("error", "key_column_missing")}
    assert listed == raised | computed
