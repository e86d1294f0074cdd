"""Sources of rows, and files to write them to: all file types, folders, URLs and the Hub."""
