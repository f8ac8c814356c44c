"""Training of adder, binary, shift and ordinary networks, and its records."""
