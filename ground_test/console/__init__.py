"""The operator's page (an issue of its own builds it)."""
