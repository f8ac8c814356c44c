"""The fastest schedule of each layer on this machine, found by timing them."""
