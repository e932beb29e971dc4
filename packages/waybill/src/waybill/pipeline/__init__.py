"""Rows to proven parts: ``run_pipeline`` drives source, encoder and upload to a manifest."""
