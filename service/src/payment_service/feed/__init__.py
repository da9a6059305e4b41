"""What others are told of changes here, in one order without gaps."""
