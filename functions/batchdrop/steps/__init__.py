"""The steps that functions call, each on one unit. Nothing below imports a step, and sweep alone restarts others."""
