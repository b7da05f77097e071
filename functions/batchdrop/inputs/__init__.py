"""From the bytes that were dropped to requests; nothing is sent."""
