"""Training of the ear and the connectors: recipes, batches, losses, the loop."""
