"""The machine and its operating system: devices, memory, signals, files and processes, downloads."""
