"""Which trials a sweep stands for, which are missing, in which order they go and at what price. It reads the store and changes nothing."""
