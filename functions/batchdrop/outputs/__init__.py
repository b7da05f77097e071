"""Turns results into the published files."""
