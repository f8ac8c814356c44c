"""8-bit adder convolutions: bytes laid out in words of eight channels, and the dense kernel on those."""
