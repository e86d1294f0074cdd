"""A run's folder: the paths in it, what its files hold, atomic writes, and the lock that keeps others out."""
