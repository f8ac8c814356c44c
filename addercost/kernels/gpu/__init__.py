"""The GPU kernels, written in Triton: implicit convolutions, compiled when a shape's class first occurs."""
