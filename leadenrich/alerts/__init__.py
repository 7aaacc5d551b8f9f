"""Tells people, by a webhook as Slack has them, when something needs one, and when it is over."""
