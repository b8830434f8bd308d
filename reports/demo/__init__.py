"""The demo: a story told with genuine tool files."""
