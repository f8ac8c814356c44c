"""The CPU kernels, written in Halide and compiled when a class of shapes is first met."""
