"""One module for each function: an event comes in, one step is called, done."""
