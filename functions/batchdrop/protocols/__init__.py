"""What the two protocols ask of a request, and what their result lines mean. Pure; no SDK is imported here."""
