"""The verbs: each module has functions that take the context and return the exit code."""
