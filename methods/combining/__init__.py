"""Several methods on one model: ``profs+rad`` changes weights first, then what the model says."""
