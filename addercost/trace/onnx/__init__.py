"""ONNX graphs as traces: each node becomes the call of torch's operator that computes the same. No torch."""
