"""8-bit adder convolutions: bytes in words of eight channels, and the dense kernel on those."""
