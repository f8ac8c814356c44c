"""Sweeps of many architectures × processors × batch sizes. Architectures are traced in worker processes,
costed as arrays, and kept as Parquet files.

`spaces/` lists the architectures. `chunks/` runs pieces of a space in workers. `child_process/` is the
process that traces or times architectures for a worker. `shards/` has the files of a folder, and `queries/`
reads them back. `run.py` and `measure.py` combine these.
"""
