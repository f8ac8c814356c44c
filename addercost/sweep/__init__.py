"""Many architectures × processors × batch sizes: traced in worker processes, costed as arrays, kept as
Parquet.

`spaces/` lists the architectures, `chunks/` runs a piece of them in a worker, `child_process/` is the process
that traces or times them for the worker, `shards/` are the files of a folder, `queries/` reads them back.
`run.py` and `measure.py` tie these together.
"""
