"""Many architectures × processors × batch sizes: traced in worker processes, costed as arrays, kept as
Parquet.
"""
