"""TRUE? Comparison of what einfall computes with what was published or measured."""
