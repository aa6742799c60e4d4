"""All that is named after the Assistants API."""
