"""Fold streams of deltas into complete objects: bytes of server-sent events in, complete run steps out."""
