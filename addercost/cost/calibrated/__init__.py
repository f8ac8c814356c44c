"""Seconds of kernels and networks from kernels that were timed on the machine."""
