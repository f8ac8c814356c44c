"""Compares the speed of a shared machine, while something is timed, with its best known speed."""
