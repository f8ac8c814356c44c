"""Depthwise convolutions of every arithmetic, written in LLVM IR."""
