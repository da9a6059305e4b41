"""What runs: the process, its watches and queue, one pass over one environment, its health and metrics."""
