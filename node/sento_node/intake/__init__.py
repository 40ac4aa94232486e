"""From a client's submission to an ordered block: fair queues, packing, lanes. Pure decisions; the shell appends."""
