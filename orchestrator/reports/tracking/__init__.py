"""Finished trials as runs of programs that people watch experiments with, each once."""
