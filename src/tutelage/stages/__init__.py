"""What a program can do with a run, one module for each stage; nothing here prints."""
