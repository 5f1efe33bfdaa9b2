"""Makes the artifacts of methods from labelled text: datastores, experts and value models, one file a method.

Every fit is resumable: work in progress lies in ``OUT/.work``, an artifact appears whole or not at all, and a fit that
is run again goes on where it was stopped, or finds that nothing is left to do.
"""
