"""Takes orders, talks to satellites through the radio, verifies and exports what comes down."""
