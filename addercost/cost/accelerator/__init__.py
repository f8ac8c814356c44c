"""Cycles and joules of networks on arrays of elements: one file each for dataflow, element and estimate."""
