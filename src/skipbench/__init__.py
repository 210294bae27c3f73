"""skipbench: what skip connections do, measured in kernels and in trained networks."""
