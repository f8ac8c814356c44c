"""Convolutions over all channels of a group: one algorithm and schedule for every arithmetic, in Halide."""
