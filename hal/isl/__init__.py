"""Inter-satellite link terminals."""
