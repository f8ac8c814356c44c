"""Adder layers of a few rows: linear layers at small batch, read at memory's speed."""
