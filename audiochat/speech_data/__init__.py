"""Speech with its words, for training and evaluation: read, packed, made and changed."""
