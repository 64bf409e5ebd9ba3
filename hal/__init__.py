"""What touches hardware: one small protocol per device kind, drivers, conformance tests, fault wrappers."""
