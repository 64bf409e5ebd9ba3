"""Side-by-side measurements: ours, the limits of the machine, and the usual recipes, interleaved in one run.

`python -m benchmarks` lists them. Nothing here is a test: no number is asserted.
"""
