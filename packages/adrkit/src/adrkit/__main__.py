"""``python -m adrkit`` is ``adr``."""

from adrkit.cli import main

main()
