"""This machine's processor: its name and its clock, and the measurement of its instructions and memory."""
