"""What an editor wants to know of a text that is being written; no protocol here."""

from adrkit.editor.completion import Completion, Suggestion, complete
from adrkit.editor.project import EditorProject
from adrkit.editor.remarks import Remark, Replacement, relocated

__all__ = [
    "Completion", "EditorProject", "Remark", "Replacement", "Suggestion", "complete", "relocated",
]  # fmt: skip
