"""Ground radios: whole frames out and in."""
