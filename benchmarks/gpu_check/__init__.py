"""The first minutes on a GPU: is everything right there, and what does each choice give?"""
