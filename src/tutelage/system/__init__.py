"""The machine and its operating system: devices, memory, signals, files, processes and downloads."""
