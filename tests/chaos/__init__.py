"""Kills, stops and restarts in numbers: what the quick suite shows once, shown often enough to be a figure."""
