"""The CPU kernels: what each folder computes, and `operations`, which `kernels.dispatch` calls."""
