"""Builds the parts of a process: a module per role, each with the few parts that the role needs.
The only place where adapters are constructed; importing any module of this package does no work."""
