"""Requests made up from /openapi.json by schemathesis, against a daemon in a process of its own."""
