"""Times kernels of many shapes on this machine, so that networks which were never run here can be
predicted.
"""
