"""What this machine has for estimates, kernels and timings, what it lacks, and how to add that."""
