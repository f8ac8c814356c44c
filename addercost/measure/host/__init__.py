"""This machine's processor: what it is, its clock, and its instructions and memory measured into a table."""
