"""What people are told: the status, its conditions, and why something waits."""
