"""Battery and power rails."""
