"""Runs the cells of a suite in watched worker processes and writes their records."""
