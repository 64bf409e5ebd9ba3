"""Hostile input by the million: harnesses for the C core (csrc/), decoders in Python, and what runs them."""
