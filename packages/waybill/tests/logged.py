"""What a module logs, whatever logging was made to be by what else ran in this process."""

from __future__ import annotations

from types import ModuleType

import pytest
import structlog
from structlog.testing import LogCapture


def logged(monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> LogCapture:
    """Give ``module`` a logger of its own for the length of a test.

    structlog's ``capture_logs`` sees nothing of a logger that was used under an earlier
    configuration, which is a matter of the order of the tests.
    """
    lines = LogCapture()
    monkeypatch.setattr(module, "log", structlog.wrap_logger(None, processors=[lines]))
    return lines
