"""The ways to compute a layer: the vendor's kernels, the code that users of adder layers run today, and our
kernels.
"""
