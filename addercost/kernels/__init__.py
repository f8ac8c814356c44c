"""The arithmetic behind the layers: `reference` on any device, Halide on the CPU, Triton on the GPU.

`dispatch` chooses among them. It imports a kernel package only when a layer runs, so a package that is not
installed is missed only where a layer would use it.
"""
