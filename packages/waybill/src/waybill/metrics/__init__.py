"""Figures for Prometheus: what is counted (``definitions``), how it gets from the process that
counts to the one that is asked (``recording``), and where that one answers (``serving``).

Counting never fails and never waits: an export goes on whatever becomes of its figures.
"""
