"""ONNX graphs as traces. Each node becomes the calls of torch's operators that compute the same. This needs
no torch.
"""
