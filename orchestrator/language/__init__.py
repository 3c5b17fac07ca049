"""What a sweep file may say, and how its mistakes are told, each at its place."""
