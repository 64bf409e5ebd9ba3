"""The hardware bench (an issue of its own builds it)."""
