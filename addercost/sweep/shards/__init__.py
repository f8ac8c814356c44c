"""The files of a swept folder: a manifest, and one Parquet file for each chunk."""
