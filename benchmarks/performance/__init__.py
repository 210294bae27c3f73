"""The asv benchmarks: one class a question, seconds and peak memory as trends, deterministic counts and errors as what is held."""
