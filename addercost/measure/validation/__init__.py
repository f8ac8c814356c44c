"""How far predictions are from times: published ones, and those of this machine."""
