"""From what was observed to what to do: pure functions. `decision.decide` is the one that others call."""
