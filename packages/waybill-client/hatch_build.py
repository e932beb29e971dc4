"""Takes the client's files from the source tree that it shares with waybill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ClientFiles(BuildHookInterface[Any]):
    """Adds the files that ``pyproject.toml`` lists, from the repository or from an sdist."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        source = root / "src"
        if not source.is_dir():
            source = root.parent / "waybill" / "src"
        target = "src/waybill" if self.target_name == "sdist" else "waybill"
        for name in self.config["modules"]:
            build_data["force_include"][str(source / "waybill" / name)] = f"{target}/{name}"
