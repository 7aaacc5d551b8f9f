"""All that outlives the process; the only folder that imports redis."""
