"""What many leads a second would cost, and where they meet a limit: a bill that is measured, a model on it."""
