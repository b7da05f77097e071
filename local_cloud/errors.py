"""The error of a local cloud."""


class LocalCloudError(Exception):
    """The local cloud could not be brought up; the message says what to do."""
