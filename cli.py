"""Runs the command line from a bare checkout: `python cli.py profile …`."""

from addercost.cli import main

if __name__ == "__main__":
    main()
