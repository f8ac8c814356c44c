"""Tools to write loops in LLVM IR and to compile them."""
