"""Coverage as text, JSON, CSV, Markdown and HTML."""
