"""The C core and its only door into Python (cffi, API mode)."""
