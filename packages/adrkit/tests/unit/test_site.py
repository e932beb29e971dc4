from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adrkit.record import Record
from adrkit.repository import RecordRepository
from adrkit.site import SiteDirectoryInUse, build_site, write_site
from adrkit.testing import house

ROOT = Path("/project")
_LOADING = {"src", "srcset", "poster", "data", "background", "style"}


def record(number: int, text: str, name: str = "title") -> Record:
    return Record.from_text(text, ROOT / f"docs/adr/{number:04d}-{name}.md")


class Page(HTMLParser):
    """What matters of a page: its elements, links, anchors and text."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def links(self) -> list[str]:
        return [a["href"] or "" for tag, a in self.elements if tag == "a" and "href" in a]


def assert_safe(contents: dict[str, bytes]) -> None:
    """No script but the site's own, no handler, nothing loaded from elsewhere."""
    for name, content in contents.items():
        if not name.endswith(".html"):
            continue
        for tag, attributes in Page(content).elements:
            assert tag not in ("iframe", "object", "embed", "base", "style"), (name, tag)
            if tag == "script":
                source = attributes.pop("src")
                assert attributes == {"defer": None}
                assert source in ("assets/site.js", "assets/mermaid/mermaid.js")
                has_diagram = b'<pre class="mermaid">' in content
                assert has_diagram or source == "assets/site.js", name
            for key, value in attributes.items():
                assert not key.startswith("on"), (name, tag, key)
                if key in _LOADING:
                    assert not re.match(r"[a-z]+:|//", value or "", re.IGNORECASE), (name, value)
                if key == "href":
                    scheme = re.match(r"([a-z][a-z0-9+.-]*):", value or "", re.IGNORECASE)
                    assert scheme is None or scheme.group(1) in ("http", "https", "mailto")


HOSTILE = """# ADR-0001: </title><script>alert(1)</script> "x"

**Date:** "><script>alert(2)</script>
**Status:** Accepted <img src=x onerror=alert(3)>

<script>alert(4)</script> <br> <!-- hidden words --> text<br/>more

[a](javascript:alert(5)) [b](JAVASCRIPT:x) [c](data:text/html,x) [d](//evil.example/x)
![e](https://evil.example/pixel.png "t") ![f](../../../../etc/passwd) <javascript:alert(6)>

<iframe src="https://evil.example"></iframe>

| a <svg onload=alert(7)> | `</code><script>` |
|---|---|
| <b onclick=x> | y |

## Decision

<style>body{display:none}</style> </script><script>alert(8)</script>

```html"><script>alert(9)</script>
</code></pre><script>alert(10)</script>
```

```mermaid
</pre><script>alert(11)</script>
```

- [x] <script>alert(12)</script>

Note[^a] and ^[<script>alert(13)</script> [x](javascript:alert(14))].

[^a]: <script>alert(15)</script>
"""


def test_hostile_record_is_shown_as_text() -> None:
    contents = build_site([record(1, HOSTILE, '"><script>alert(0)<')], ROOT, "</title><script>")
    assert_safe(contents)
    (page,) = (c for n, c in contents.items() if n.endswith(".html") and n[0] not in "ig")
    shown = Page(page)
    assert "<script>alert(4)</script>" in shown.text
    assert "hidden words" not in shown.text
    assert sum(tag == "br" for tag, _ in shown.elements) == 2
    assert [link for link in shown.links() if "evil" in link] == ["https://evil.example/pixel.png"]
    assert b"<" not in contents["assets/search-index.js"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.sampled_from(HOSTILE.replace("\n", " \n").split(" ")) | st.text(max_size=8), max_size=30
    )
)
def test_no_text_breaks_out_of_its_page(parts: list[str]) -> None:
    assert_safe(build_site([record(1, " ".join(parts))], ROOT))


def test_every_link_inside_the_site_leads_somewhere() -> None:
    records = [
        record(1, house(1, status="Superseded by ADR-0002")),
        record(2, house(2) + "- **Supersedes:** [ADR-0001](0001-title.md#decision)\n"),
        record(3, house(3) + "\nSee ADR-0002, ADR-0099 and [gone](../gone.md).\n"),
    ]
    contents = build_site(records, ROOT)
    for name, content in contents.items():
        if name.endswith(".html"):
            page = Page(content)
            anchors = {a["id"] for _, a in page.elements if "id" in a}
            for link in page.links():
                if link.startswith("#"):
                    assert link[1:] in anchors, (name, link)
                elif not re.match(r"https?:", link):
                    assert unquote(link.split("#")[0]) in contents, (name, link)
    third = Page(contents["0003-title.html"])
    assert "0002-title.html" in third.links()
    assert "No longer in force." in Page(contents["0001-title.html"]).text


def test_same_records_give_the_same_bytes() -> None:
    records = [record(1, house(1)), record(2, house(2))]
    assert build_site(records, ROOT) == build_site(records, ROOT)


def test_pages_have_one_heading_of_the_first_level_and_a_language() -> None:
    for name, content in build_site([record(1, "# A\n\n# B\n\n> # C\n")], ROOT).items():
        if name.endswith(".html"):
            tags = [tag for tag, _ in Page(content).elements]
            assert tags.count("h1") == 1, name
            assert b'<html lang="en">' in content


def test_records_with_one_name_get_pages_of_their_own() -> None:
    twins = [
        Record.from_text(house(1), ROOT / "docs/adr/a/0001-x.md"),
        Record.from_text(house(1), ROOT / "docs/adr/b/0001-x.md"),
        Record.from_text("# ADR-2: x", ROOT / "docs/adr/index.md"),
    ]
    contents = build_site(twins, ROOT)
    assert {"0001-x.html", "0001-x-2.html", "index-2.html"} <= set(contents)


def test_image_inside_the_project_is_copied_and_no_other(tmp_path: Path) -> None:
    project = tmp_path / "project"
    (project / "adr").mkdir(parents=True)
    (project / "pic.png").write_bytes(b"png")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (project / "link.png").symlink_to(tmp_path / "secret.png")
    text = "# ADR-0001: A\n\n![a](../pic.png) ![b](../../secret.png) ![c](../link.png)\n\n"
    text += "![d](a%00.png)\n"
    contents = build_site([Record.from_text(text, project / "adr/0001-a.md")], project)
    assert contents["images/pic.png"] == b"png"
    assert [name for name in contents if name.startswith("images/")] == ["images/pic.png"]


def test_site_is_written_again_without_pages_that_are_gone(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write_site(target, build_site([record(1, house(1)), record(2, house(2))], ROOT))
    assert (target / "0002-title.html").exists()
    write_site(target, build_site([record(1, house(1))], ROOT))
    assert (target / "0001-title.html").exists()
    assert not (target / "0002-title.html").exists()


def test_directory_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("mine")
    with pytest.raises(SiteDirectoryInUse):
        write_site(tmp_path, {"index.html": b""})
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.doc"]


@pytest.mark.parametrize("project", ["abicheck", "govuk-aws", "jabref"])
def test_real_records_make_a_safe_site(corpora: Path, project: str) -> None:
    records = RecordRepository(corpora / project).list()
    contents = build_site(records, corpora)
    assert len([name for name in contents if name.endswith(".html")]) == len(records) + 2
    assert_safe(contents)


def test_narrow_page_is_no_wider_than_its_screen() -> None:
    """`1fr` alone grows with the widest table or code block; `minmax(0, 1fr)` does not."""
    css = build_site([record(1, house(1))], ROOT)["assets/style.css"].decode()
    columns = re.findall(r"grid-template-columns:\s*([^;}]+)", css)
    assert len(columns) == 3
    for value in columns:
        assert value.startswith(("minmax(0, 1fr)", "repeat(auto-fill, minmax(min(100%,")), value


def test_task_lists_and_footnotes() -> None:
    text = "# A\n\n- [x] done\n- [ ] to *do*\n- [y] no\n- plain [x] text\n\n[x] no list\n\n"
    text += "One[^n], again[^n], ADR-0002[^gone].\n\n[^n]: See ADR-0002 and [b](0002-title.md).\n"
    contents = build_site([record(1, text), record(2, house(2))], ROOT)
    page = Page(contents["0001-title.html"])
    boxes = [a for tag, a in page.elements if tag == "input" and a.get("type") == "checkbox"]
    assert boxes == [
        {"type": "checkbox", "disabled": None, "checked": None},
        {"type": "checkbox", "disabled": None},
    ]
    assert "[y] no" in page.text
    assert "plain [x] text" in page.text
    assert "[x] no list" in page.text
    assert "[x] done" not in page.text
    assert "[^gone]" in page.text
    assert page.links().count("#fn1") == 2
    anchors = {a["id"] for _, a in page.elements if "id" in a}
    assert {"fn1", "fnref1", "fnref1:1"} <= anchors
    assert page.links().count("0002-title.html") >= 3  # the text's, and two of the footnote


def test_diagrams_bring_mermaid_where_there_are_any() -> None:
    drawn = "# A\n\n```mermaid\nflowchart LR\n  a --> b\n```\n"
    contents = build_site([record(1, drawn), record(2, house(2))], ROOT)
    assert b"Permission is hereby granted" in contents["assets/mermaid/LICENSE"]
    assert len(contents["assets/mermaid/mermaid.js"]) > 1_000_000
    assert b"a --&gt; b" in contents["0001-title.html"]
    assert b"'unsafe-inline'" in contents["0001-title.html"]
    for name in ("0002-title.html", "index.html", "graph.html"):
        assert b"mermaid" not in contents[name]
        assert b"unsafe-inline" not in contents[name]
    assert_safe(contents)
    plain = build_site([record(1, "# A\n\n```mermaidx\na\n```\n")], ROOT)
    assert not [name for name in plain if "mermaid" in name]
