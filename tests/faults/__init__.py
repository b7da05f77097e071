"""Whole jobs, again and again, each time with a fault at another call to the outside."""
