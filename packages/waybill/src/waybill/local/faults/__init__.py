"""Faults on demand: proxies that break connections, a service to break, and the invariants that
must hold afterwards. Used by ``tests/faults``, by ``make chaos``, and by whoever embeds waybill and
wants to see for themselves."""
