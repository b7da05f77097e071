"""OpenAI's chat completions for Claude: a request becomes a Messages request, its answer a chat completion. Pure."""
