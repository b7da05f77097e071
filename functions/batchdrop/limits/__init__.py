"""What may be sent now: admission, the ledgers, the circuit breaker of each provider, the hold after a restore."""
