"""Many leads at once, behind the live ones: rows of a CSV file, contacts of a location."""
