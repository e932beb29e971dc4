"""The kinds of checks, by name: the registry that blocks are read with."""

from __future__ import annotations

from collections.abc import Mapping

from adrkit.checks.check import Kind
from adrkit.checks.kinds.benchmark import BenchmarkCheck
from adrkit.checks.kinds.command import CommandCheck
from adrkit.checks.kinds.config import ConfigCheck
from adrkit.checks.kinds.dependency import DependencyCheck
from adrkit.checks.kinds.imports import ImportForbiddenCheck
from adrkit.checks.kinds.paths import PathExistsCheck
from adrkit.checks.kinds.regex import RegexCheck
from adrkit.checks.kinds.setting import SettingCheck
from adrkit.checks.kinds.symbol import SymbolExistsCheck
from adrkit.checks.kinds.test import TestCheck

KINDS: Mapping[str, type[Kind]] = {
    kind.kind: kind
    for kind in (
        PathExistsCheck,
        SymbolExistsCheck,
        ImportForbiddenCheck,
        DependencyCheck,
        ConfigCheck,
        SettingCheck,
        RegexCheck,
        TestCheck,
        BenchmarkCheck,
        CommandCheck,
    )
}
