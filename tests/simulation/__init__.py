"""A world simulated by seed: virtual time, an embedded Redis, vendors and daemons that fail, no socket, no waiting."""
