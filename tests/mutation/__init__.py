"""Small faults put into the queue, the signature and the judge of errors, one at a time: do the tests notice?"""
