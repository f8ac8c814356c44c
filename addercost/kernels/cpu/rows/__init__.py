"""Adder layers of a few rows, such as linear layers at small batch. They take as long as reading their
weights from memory.
"""
