from __future__ import annotations

from adrkit.reports import Annotation, github_lines, sarif_log

FOUND = Annotation("x/y", "error", "50% wrong\n::error::injected", "docs/a b,c.md", 3)


def test_github_annotation_cannot_smuggle_in_a_command() -> None:
    (line,) = github_lines([FOUND])
    assert line == (
        "::error file=docs/a b%2Cc.md,line=3,title=x/y::50%25 wrong%0A::error::injected"
    )


def test_sarif_names_rule_place_and_related_place() -> None:
    note = Annotation("new", "note", "look", "b.md", 1, 5, ("src/x.py", 7))
    (run,) = sarif_log([FOUND, note], {"x/y": "why"})["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["x/y", "new"]
    first, second = run["results"]
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "docs/a%20b%2Cc.md"
    assert (first["ruleIndex"], second["ruleIndex"]) == (0, 1)
    assert second["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 1, "startColumn": 5,
    }  # fmt: skip
    assert second["relatedLocations"][0]["physicalLocation"]["region"] == {"startLine": 7}
