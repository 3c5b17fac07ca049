"""A store that fails on purpose, under a test in this process or under a whole run of the command."""
