"""Convolutions over all channels of a group. One algorithm and one schedule, in Halide, serve every
arithmetic.
"""
