"""Other libraries that compute the same kernels, measured beside ours in one run, and what share of the machine ours reaches."""
