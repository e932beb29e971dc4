"""Build the documentation as a site: ``make docs``. Needs no network, and the site needs none.

The pages are the repository's own documents. They are staged first, so that what links lead to
outside docs/ is there as well, and references are made from the code. Links and anchors that lead
nowhere, pages without a place in the order, and whatever would be loaded from elsewhere end it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
BUILD = ROOT / "build" / "docs"
PAGES = BUILD / "pages"
SITE = BUILD / "site"
_HOMES = {
    ROOT / "README.md": "index.md",
    ROOT / "packages" / "adrkit" / "README.md": "adrkit/index.md",
}
_CODE = re.compile(
    r"(^(?P<fence>`{3,}).*?^(?P=fence)`*[ ]*$|`(?:[^`\n]|\n(?!\n))+`)", re.DOTALL | re.MULTILINE
)
_LINK = re.compile(r"(?<=\]\()(?P<path>[^)\s#:]+)(?P<anchor>#[^)\s]*)?(?=\))")
_FENCE_WITH_WORDS = re.compile(r"^(`{3,}\w+) [^\n]*$", re.MULTILINE)
_FOREIGN = re.compile(
    r"<(?:script|img|iframe|source)\b[^>]*\bsrc=\"?https?:[^>]*>"
    r"|<link\b(?![^>]*rel=\"?(?:canonical|next|prev))[^>]*\bhref=\"?https?:[^>]*>",
    re.IGNORECASE,
)


class Stage:
    """The pages on their way to the site."""

    def __init__(self) -> None:
        self._waiting: list[Path] = []
        self._places: dict[Path, str] = {}

    def add(self, origin: Path) -> str:
        """Give a file or folder of the repository a place in the site, and return it."""
        origin = origin.resolve()
        if origin.is_dir() and (origin / "README.md").is_file():
            origin /= "README.md"
        if origin not in self._places:
            self._places[origin] = self._place(origin)
            self._waiting.append(origin)
        return self._places[origin]

    def write(self) -> None:
        """Write everything that was added, and what it leads to."""
        while self._waiting:
            origin = self._waiting.pop()
            target = PAGES / self._places[origin]
            target.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_dir():
                target.write_text(self._listing(origin), encoding="utf-8")
            elif origin.suffix == ".md":
                target.write_text(self._page(origin), encoding="utf-8")
            else:
                shutil.copyfile(origin, target)

    def _place(self, origin: Path) -> str:
        if origin in _HOMES:
            return _HOMES[origin]
        path = origin.relative_to(ROOT)
        if path.parts[0] == "docs" and len(path.parts) > 1:
            return path.relative_to("docs").as_posix()
        # The generator passes over names that begin with a dot.
        shown = Path("repository", *(part.lstrip(".") for part in path.parts))
        return (shown / "index.md" if origin.is_dir() else shown).as_posix()

    def _page(self, origin: Path) -> str:
        parts = _CODE.split(_FENCE_WITH_WORDS.sub(r"\1", origin.read_text(encoding="utf-8")))
        # The text, then for each piece of code: the piece, its fence, the text behind it.
        for at in range(0, len(parts), 3):
            parts[at] = _LINK.sub(lambda link: self._led(link, origin), parts[at])
        return "".join(part for at, part in enumerate(parts) if part and at % 3 != 2)

    def _led(self, link: re.Match[str], origin: Path) -> str:
        target = origin.parent / link["path"]
        if not target.exists():
            return link[0]  # the generator tells
        here = PAGES / self._places[origin]
        led = os.path.relpath(PAGES / self.add(target), here.parent)
        return led + (link["anchor"] or "")

    def _listing(self, folder: Path) -> str:
        lines = [f"# {folder.relative_to(ROOT).as_posix()}", ""]
        here = PAGES / self._places[folder]
        for each in sorted(folder.iterdir()):
            if each.name.startswith((".", "__")):
                continue
            led = os.path.relpath(PAGES / self.add(each), here.parent)
            lines.append(f"- [`{each.name}`]({led})")
        return "\n".join(lines) + "\n"


def ordered(nav: list[Any], used: set[str]) -> list[Any]:
    """Return the order with each star replaced by the pages that it stands for."""
    found: list[Any] = []
    for entry in nav:
        if isinstance(entry, dict):
            ((title, inside),) = entry.items()
            found.append({title: ordered(inside, used) if isinstance(inside, list) else inside})
        elif entry.endswith("*"):
            pages = sorted(PAGES.glob(f"{entry}.md"))
            found += [
                path
                for path in (page.relative_to(PAGES).as_posix() for page in pages)
                if path not in used
            ]
        else:
            found.append(entry)
    return found


def named(nav: Any) -> set[str]:
    """Return the pages that the order names without a star."""
    if isinstance(nav, str):
        return {nav}
    inside = nav.values() if isinstance(nav, dict) else nav
    return set().union(*(named(each) for each in inside))


def foreign_of(site: Path) -> list[str]:
    """Return what the pages would load from elsewhere."""
    return [
        f"{page.relative_to(site)}: {found[0]}"
        for page in sorted(site.rglob("*.html"))
        for found in _FOREIGN.finditer(page.read_text(encoding="utf-8"))
    ]


def main() -> None:
    """Build the site into build/docs/site."""
    import references  # all of waybill, which the rest does without

    shutil.rmtree(BUILD, ignore_errors=True)
    stage = Stage()
    for origin in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")):
        stage.add(origin)
    stage.write()
    references.write(PAGES / "reference")
    nav = yaml.safe_load((ROOT / "site" / "nav.yml").read_text(encoding="utf-8"))
    order = {"INHERIT": str(ROOT / "site" / "mkdocs.yml"), "nav": ordered(nav, named(nav))}
    configuration = BUILD / "mkdocs.yml"
    configuration.write_text(yaml.safe_dump(order, sort_keys=False), encoding="utf-8")
    # Not quiet: warnings that are not shown are not counted either.
    built = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", configuration],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    for line in built.stderr.splitlines():
        if line.strip() and not line.startswith("INFO"):
            print(line, file=sys.stderr)
    if built.returncode:
        sys.exit(built.returncode)
    if foreign := foreign_of(SITE):
        sys.exit("The site would load from elsewhere:\n" + "\n".join(foreign))
    print(f"{SITE.relative_to(ROOT)}: {sum(1 for _ in SITE.rglob('*.html'))} pages")


if __name__ == "__main__":
    main()
