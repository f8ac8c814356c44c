"""Finds the fastest schedule of each layer on this machine, by timing several."""
