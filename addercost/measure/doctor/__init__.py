"""What this machine offers for estimates, kernels and timings, what it lacks, and what would mend that."""
