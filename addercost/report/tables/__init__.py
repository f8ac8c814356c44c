"""One file a table: from data to columns, rows, a title and notes."""
