"""The console: batchdrop's jobs, costs and providers as pages on this machine, with the user's own AWS credentials.

The package stands above the command and the client: it reads through their code, decides as they do and says what they
say. It is served on loopback alone, to who has the token that the command printed. docs/console.md is its page.
"""
