"""What observing, deciding and acting hand to each other: plain values, without input or output."""
