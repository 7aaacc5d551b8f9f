"""Runs jobs: claims, keeps leases alive, settles, drains."""
