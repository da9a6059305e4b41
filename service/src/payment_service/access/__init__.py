"""Who may call: principals and API keys."""
