"""Products with weights of 2 and 4 bits for one or a few rows, which read every weight once."""
