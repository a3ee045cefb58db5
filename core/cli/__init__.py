"""The commands, a file for each thing that people want: learn, train, look."""
