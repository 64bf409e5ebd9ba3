"""The operator's page: one offline page that the gateway serves at /console, and asks it for everything it shows."""
