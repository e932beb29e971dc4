"""The tests of the examples, on the session's stack."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).parents[5] / "examples"


def gathered(example: str, module: str) -> dict[str, Any]:
    path = EXAMPLES / example / "tests" / f"{module}.py"
    spec = importlib.util.spec_from_file_location(f"examples_{path.parent.parent.name}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    found = {name: value for name, value in vars(loaded).items() if name.startswith("test_")}
    assert found
    prefix = example.replace("-", "_")
    return {f"{name}_of_{prefix}": value for name, value in found.items()}


globals().update(gathered("fastapi-shop", "test_shop"))
globals().update(gathered("celery-existing", "test_app"))
