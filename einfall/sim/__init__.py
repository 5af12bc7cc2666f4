"""COST: mapping, lowering, the Pipeline, its two evaluators, and the Estimate they answer with."""
