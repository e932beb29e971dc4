from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adrkit.globs import matches


@pytest.mark.parametrize(
    ("path", "pattern", "found"),
    [
        ("a/b.py", "a/*.py", True), ("a/b/c.py", "a/*.py", False), ("a/b/c.py", "a/**/*.py", True),
        ("a/c.py", "a/**/*.py", True), ("a/b/c", "**", True), ("a/b/c", "**/c", True),
        ("c", "**/c", True), ("a/b", "a/**", True), ("ab", "a?", True), ("a", "a?", False),
        ("a/b", "a?b", False), ("a[1].py", "a[1].py", True), ("a1.py", "a[1].py", False),
        (".hidden/x", "*/x", True), ("a/b/c/d", "a/**/c/**", True), ("a.b", "a*b", True),
    ],
)  # fmt: skip
def test_pattern_matches_as_documented(path: str, pattern: str, found: bool) -> None:
    assert matches(path, pattern) is found


@given(st.text("ab/", max_size=10), st.text("ab/*?", max_size=10))
def test_matching_agrees_with_a_regular_expression(path: str, pattern: str) -> None:
    parts = pattern.split("/")
    if "**" in parts:
        return  # spans segments: the cases above
    regex = "/".join(
        re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]") for part in parts
    )
    assert matches(path, pattern) is (re.fullmatch(regex, path) is not None)


def test_hostile_pattern_ends_soon() -> None:
    assert not matches("a" * 500, "*a" * 200 + "b")
    assert not matches("a/" * 100 + "b", "**/a/" * 60 + "c")
