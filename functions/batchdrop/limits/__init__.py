"""Decides how much may be sent now: admission, ledgers, circuit breakers, the hold after a restore."""
