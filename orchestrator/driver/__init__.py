"""What Tune asks while a sweep runs, and what is answered: which job starts, what became of it, what is tried again."""
