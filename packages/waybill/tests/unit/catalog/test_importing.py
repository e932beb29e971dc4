"""Catalogs by reference: files and import strings."""

from pathlib import Path

import pytest

from waybill.catalog import Catalog, load
from waybill.errors import ConfigurationError


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An importable module of an application that embeds waybill; returns its name."""
    name = f"shop_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(
        "from waybill.catalog import Catalog, ExportType, TableSource\n"
        "catalog = Catalog()\n"
        "catalog.add(ExportType('users', TableSource('public', 'users'), key=('id',)))\n"
        "def build():\n    return catalog\n"
        "class nested:\n    catalog = catalog\n"
        "number = 5\n"
    )
    (tmp_path / f"{name}_broken.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize("attribute", ["catalog", "build", "nested.catalog"])
def test_import_string_gives_the_catalog(shop: str, attribute: str) -> None:
    catalog = load(f"{shop}:{attribute}")
    assert isinstance(catalog, Catalog)
    assert list(catalog) == ["users"]


@pytest.mark.parametrize(
    ("suffix", "says"),
    [
        (".nowhere:catalog", "there is no module"),
        (":catalogue", "Did you mean 'catalog'?"),
        (":number", "is 'int'"),
        (":nested", "is 'type'"),
    ],
)
def test_wrong_import_string_names_the_remedy(shop: str, suffix: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says.replace("?", r"\?")):
        load(f"{shop}{suffix}")


def test_module_that_fails_to_import_stays_loud(shop: str) -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        load(f"{shop}_broken:catalog")


def test_path_is_read_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / "catalog.toml"
    file.write_text("[exports.users]\ntable = 'users'\n")
    assert list(load(file)) == list(load(str(file))) == ["users"]


@pytest.mark.parametrize("reference", ["", "catalog", "a b:c", "http://x:y"])
def test_neither_file_nor_import_string_is_refused(reference: str) -> None:
    with pytest.raises(ConfigurationError, match="neither"):
        load(reference)
