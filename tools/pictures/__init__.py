"""The pictures of the README that a program makes."""
