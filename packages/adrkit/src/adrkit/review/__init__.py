"""`adr review`: what a range of commits means for the decisions of a project."""

from adrkit.review.findings import RULES, Review, ReviewFinding
from adrkit.review.run import review

__all__ = ["RULES", "Review", "ReviewFinding", "review"]
