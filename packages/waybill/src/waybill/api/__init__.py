"""The HTTP API. Only this package knows HTTP; ``problems.py`` alone maps errors to statuses."""
