"""The settings as Dagster must know them when definitions load: intervals and the time zone.

Whatever can be read later is read at each tick. A change here is seen when the code server starts again.
"""

from crown.errors import ConfigurationError
from crown.settings.model import Settings, load_settings


def _read() -> Settings:
    """The settings of this process; when they cannot be used, the defaults, so that the code location loads.

    Every tick and run then fails with the sentence that says what to correct.
    """
    try:
        return load_settings()
    except ConfigurationError:
        return Settings()


settings = _read()
