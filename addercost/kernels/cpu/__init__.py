"""The CPU kernels. Each folder computes one kind of layer; `kernels.dispatch` calls what `operations`
offers.
"""
