"""The options of a run: written once as typed fields, from which form, JSON, CLI, help, table and errors derive."""
