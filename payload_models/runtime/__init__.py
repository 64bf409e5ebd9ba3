"""Running graphs: session policy, execution providers, sessions, optimised models, commissioning."""
