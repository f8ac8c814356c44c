"""One file a format: a table, a profile or a report as the text or bytes of a file."""
