"""Binary convolutions: signs packed into words of bits, and the dense kernel on those words."""
