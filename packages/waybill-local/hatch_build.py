"""Takes the embedded services from the source tree that they share with waybill."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class LocalFiles(BuildHookInterface[Any]):
    """Adds the files of ``waybill.local`` but those that ``pyproject.toml`` leaves out, from the
    repository or from an sdist."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        source = root / "src"
        if not source.is_dir():
            source = root.parent / "waybill" / "src"
        target = "src/waybill" if self.target_name == "sdist" else "waybill"
        left_out = set(self.config["leave-out"])
        for path in sorted((source / "waybill/local").rglob("*")):
            name = path.relative_to(source / "waybill").as_posix()
            if path.is_file() and "__pycache__" not in path.parts and name not in left_out:
                build_data["force_include"][str(path)] = f"{target}/{name}"
