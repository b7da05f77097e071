"""From results to the files that are published."""
