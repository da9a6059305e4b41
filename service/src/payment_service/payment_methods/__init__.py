"""What customers have saved to pay with: saved by setup intents, listed, made the default, detached."""
