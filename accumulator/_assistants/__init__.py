"""The Assistants API: its models, updates and events, and the functions that read its streams."""
