"""The two protocols: checks of their requests, and readers of their result lines. Pure; no SDK is imported here."""
