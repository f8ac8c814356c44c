"""One file for each format. It turns a table, a profile or a report into the text or bytes of a file."""
