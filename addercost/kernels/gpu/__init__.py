"""The GPU kernels, written in Triton: implicit convolutions. A kernel is compiled when a class of shapes
first occurs.
"""
