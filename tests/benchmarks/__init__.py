"""Measured promises: `python -m tests.benchmarks` runs all of them, `python -m tests.benchmarks NAME` one."""
