"""Recordings: the format, the recorder, replay, and the readers of what other tools recorded."""
