"""What people see of the running daemon: logs, metrics, health."""
