"""From a PostgreSQL snapshot to a committed, proven object: source -> encoder -> parts -> storage.

``PostgresSource.open_snapshot`` reads, an encoder of ``ENCODERS`` turns rows into file bytes,
``run_pipeline`` drives both into a ``Storage`` and returns the manifest.
"""
