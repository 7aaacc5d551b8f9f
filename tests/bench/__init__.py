"""`make bench`: the installed daemon measured beside other queues, in one run on one machine."""
