"""What one pass reads, of the cluster, of the pods and of Stripe; nothing here decides."""
