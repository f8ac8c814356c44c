"""Spaces of architectures: the kinds of SPACE, their members, and a walk over all names."""
