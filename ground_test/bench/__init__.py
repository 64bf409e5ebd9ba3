"""The bench: the devices of one satellite, asked before a flight (the page with fault buttons is not there yet)."""
