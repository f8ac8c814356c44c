"""What is swept: the kinds of SPACE, their architectures, and a walk over the names of all of them."""
