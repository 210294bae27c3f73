"""The fused engines: every layer of a pair of inputs runs in the first-level cache (numba) or on chip (Triton)."""
