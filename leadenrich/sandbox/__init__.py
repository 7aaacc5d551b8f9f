"""Fake RealEstateAPI and HighLevel servers that hold requests against the vendors' rules and fail on request."""
