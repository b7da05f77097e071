"""What a function calls: each step works on one unit. Nothing below imports one, and sweep alone restarts others."""
