"""Timing kernels of many shapes on this machine, so that networks never run here can be predicted."""
