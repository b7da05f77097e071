"""Turns dropped bytes into requests; nothing is sent."""
