"""8-bit adder convolutions: bytes are grouped into words of eight channels, which the dense kernel computes
on.
"""
