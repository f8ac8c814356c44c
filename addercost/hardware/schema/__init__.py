"""The content of hardware tables as plain data, with one file for each kind of table.

Every figure has its unit in its name and a source. `addercost.hardware.parse` validates a file against the
annotations. No I/O and no cost models here.
"""
