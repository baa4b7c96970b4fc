"""What the model is worth: word error rates, answers, speed and memory, each with its machine."""
