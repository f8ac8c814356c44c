"""Runs the command line from a bare checkout: `python cli.py profile …`."""

from addercost.__main__ import main

if __name__ == "__main__":
    main()
