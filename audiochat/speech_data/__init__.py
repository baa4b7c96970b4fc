"""Speech with its words: manifests, packed audio, synthesis and augmentation, for training and evaluation."""
