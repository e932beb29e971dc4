"""``adr audit``: a decided record keeps its content; corrections are visible amendments.

What may change: status and reason, links, paths, white space, table padding, new checks. What may
not, is compared as parsed trees: the work tree with the commit it started from, or step by step
along the history of the default branch.
"""

from adrkit.audit.base import AuditBase, AuditSettings, default_branch, find_base, history_tip
from adrkit.audit.comparison import DECIDED, RULES, Difference, differences
from adrkit.audit.content import Amendment, Content
from adrkit.audit.findings import AuditFinding, AuditReport
from adrkit.audit.history import audit_history
from adrkit.audit.plan import AuditPlan, AuditRun, plan_audit, run_audit
from adrkit.audit.several import audit_several, directories_gone
from adrkit.audit.work_tree import audit_work_tree

__all__ = [
    "DECIDED", "RULES", "Amendment", "AuditBase", "AuditFinding", "AuditPlan", "AuditReport",
    "AuditRun", "AuditSettings", "Content", "Difference", "audit_history", "audit_several",
    "audit_work_tree", "default_branch", "differences", "directories_gone", "find_base",
    "history_tip", "plan_audit", "run_audit",
]  # fmt: skip
