"""Where rows come from and go to: files of every kind, a folder, an address, the hub."""
