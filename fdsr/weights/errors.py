"""Errors of model files."""

import pickle


class ModelFileError(ValueError):
    """A model file that cannot be used; the message names the file and the remedy.

    Base of all errors that the content of a checkpoint, a published model or a
    dictionary causes.
    """


class RefusedCheckpointError(ModelFileError, pickle.UnpicklingError):
    """Raised for a checkpoint that is damaged or not only tensors and plain data."""
