"""The figures in the README: one command each, `python -m benchmarks NAME`."""
