"""Where the satellite is."""
