"""Pure values and judgements: no clock, no sleep, no I/O."""
