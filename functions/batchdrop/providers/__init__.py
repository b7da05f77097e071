"""The providers behind two protocols: what a batch is to them, and the calls that make one."""
