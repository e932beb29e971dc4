"""Webhooks by Standard Webhooks 1.0."""
