"""Training of adder, binary, shift and ordinary networks, and the records of it."""
