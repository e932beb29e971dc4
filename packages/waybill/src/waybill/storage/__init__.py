"""Where results live: one narrow port (``base.py``) and the storages behind it."""
