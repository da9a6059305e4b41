"""Which secrets a revision may have, and how each is replaced while it is in use."""
