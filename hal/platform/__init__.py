"""The spacecraft bus, as the payload computer meets it."""
