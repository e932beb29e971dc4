"""The embedded stack: real PostgreSQL, Valkey and S3 as child processes, from pip wheels.

For development, the demo and the tests. ``LocalStack`` is the way in.
"""
