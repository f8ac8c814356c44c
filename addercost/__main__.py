"""`python -m addercost`."""

from addercost.cli import main

main()
