"""What an experiment found, for people: the picture viewer, the tables and the verdict in words, the report folder."""
