"""The compute behind the layers: `reference` on any device, Halide on the CPU, Triton on the GPU.

`dispatch` chooses among them; a kernel package is imported only when a layer runs, so a missing one
costs nothing.
"""
