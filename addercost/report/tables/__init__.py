"""One file for each table: from data to columns, rows, a title and notes."""
