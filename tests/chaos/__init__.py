"""Random faults under load, and a judgement of all that was answered: see `__main__`."""
