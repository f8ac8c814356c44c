"""Products of one or a few rows with weights of 2 and 4 bits. Each weight is read from memory once."""
