"""Who may do what, decided from the genesis file and officers' acts alone: shared by sites, clients and auditors, so that each decides the same."""
