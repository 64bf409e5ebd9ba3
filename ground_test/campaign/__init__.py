"""Many simulations (an issue of its own builds it)."""
