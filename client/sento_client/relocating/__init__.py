"""Moving votes to other sites while records are written: the next step from what is seen, the shell that takes it, and what was measured on the way.

`making` writes a plan, `judging` is the dry run, `deciding` says the next step and nothing else does, `looking` turns answers into what it decides from,
`running` takes the steps, `measuring` and `journal` keep what the report says.
"""
