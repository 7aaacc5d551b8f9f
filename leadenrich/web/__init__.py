"""The HTTP side: webhooks in, health, metrics, the admin API."""
