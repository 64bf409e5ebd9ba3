"""What runs on the satellite."""

__version__ = "0.1.0"
