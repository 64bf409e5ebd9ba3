"""Hardware watchdogs."""
