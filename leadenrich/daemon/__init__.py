"""Wiring and life: opens, connects and closes everything; both halves, or one."""

from leadenrich.daemon.life import CannotStart, Running, ServeOptions, serve

__all__ = ["CannotStart", "Running", "ServeOptions", "serve"]
