"""Deterministic simulation: event kernel, links, contacts."""
