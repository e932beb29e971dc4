"""The domain: what an export job is, who may move it where, and how it is remembered."""
