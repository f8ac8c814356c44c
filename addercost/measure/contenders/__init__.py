"""What can compute a layer: the vendor's kernels, what users of adder layers run today, and ours."""
