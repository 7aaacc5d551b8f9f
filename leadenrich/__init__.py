"""leadenrich: every HighLevel lead enriched within seconds, and never lost."""

__version__ = "0.1.0"
