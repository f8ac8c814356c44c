"""LLVM IR: what the hand-written loops are made of and compiled with."""
