"""Telling people and programs how an export ended: an outbox, e-mail and signed webhooks."""
