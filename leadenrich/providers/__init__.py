"""The only HTTP clients: RealEstateAPI and HighLevel."""
