"""Cycles and joules of networks on arrays of processing elements."""
