"""Packets, frames, file transfer."""
