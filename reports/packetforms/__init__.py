"""The packet as HTML, Markdown, JSON and a spreadsheet."""
