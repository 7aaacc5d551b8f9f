"""The business: what a lead needs, reached only through the protocols declared here."""
