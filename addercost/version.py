"""The version of addercost. No other place states it."""

__version__ = "0.1.0"
