"""Run folders and the processes that own them. All that is written into a run folder's records is written here."""
