"""What is remembered of answers, in this process and in Redis, and how it is forgotten in time."""
