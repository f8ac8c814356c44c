"""Computes from counts, costs and results, as plain data, what `addercost.report` shows."""
