"""Chunks, which are pieces of a sweep, and the engines that run them: a pool of processes, or a Dask
cluster.
"""
