"""Records of other formats rewritten in the house template, with nothing lost."""

from adrkit.importing.completeness import lost_words
from adrkit.importing.convert import Conversion, convert
from adrkit.importing.plan import ImportedRecord, ImportPlan, apply_import, plan_import
from adrkit.importing.relink import Moves

__all__ = [
    "Conversion",
    "ImportPlan",
    "ImportedRecord",
    "Moves",
    "apply_import",
    "convert",
    "lost_words",
    "plan_import",
]
