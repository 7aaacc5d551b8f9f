"""What the store raises."""


class StoreUnavailable(Exception):
    """Redis cannot be reached, or cannot take a write now. Nothing is known to be stored; the call may be repeated."""


class StoreDenied(StoreUnavailable):
    """Redis does not take us, or not this command from us. Waiting changes nothing; the message says what to change."""


class StoreRefused(Exception):
    """This Redis must not be used as it is set up; the message says what to change."""


class JobGone(Exception):
    """The job is unknown here: never was, or retention removed it."""


class WrongState(Exception):
    """The verb does not fit the job's state."""
