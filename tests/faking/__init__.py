"""The outside of batchdrop, in process: AWS by moto, the providers by the simulator, a clock that only tests move."""
