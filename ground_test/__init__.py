"""Everything on the ground: gateway, console, simulator, bench, campaigns."""
