"""What can go wrong, in the words of the person who reads it.

Every error carries one sentence: what happened, where (file, row, column), what to do now.
The class says what the ledger does with the item: quarantine it, try again, or stop the run.
No logging and no knowledge of any department belongs here.
"""


class CrownError(Exception):
    """An error with a sentence for a person.

    The command line prints the sentence without a traceback and ends with `exit_code`.
    """

    exit_code = 1


class ConfigurationError(CrownError):
    """A setting is wrong, missing, unknown or out of reach; nothing was started."""

    exit_code = 2


class Refused(CrownError):
    """The request was understood and not carried out, because it would break a promise."""

    exit_code = 3


#: Seconds: no source outside puts off the next try for longer, whatever it asks for.
LONGEST_PAUSE = 86_400.0


class PermanentFailure(CrownError):
    """This item cannot succeed as it is: it needs a person, or other input. It is quarantined."""


class BadInput(PermanentFailure):
    """A file, row or value from outside cannot be used; the sentence names it."""


class TemporaryFailure(CrownError):
    """This item may succeed later: it is tried again with back-off, then quarantined.

    `retry_after` are the seconds until the next try, where the cause says so; a day at most.
    """

    def __init__(self, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = None if retry_after is None else min(max(retry_after, 0.0), LONGEST_PAUSE)


class SourceOutage(TemporaryFailure):
    """A source outside is out: its items stay pending, and no try is counted.

    `source` is the tag under which stages name it as a resource; nothing that needs it is begun before `retry_after`.
    """

    def __init__(self, sentence: str, source: str = "", retry_after: float | None = None) -> None:
        super().__init__(sentence, retry_after)
        self.source = source


class SystemicFailure(CrownError):
    """The cause is outside the items (disk full, no credentials): the run stops, items stay pending."""


class ClaimLost(CrownError):
    """The worker's claim is no longer its own: its results are dropped, another worker has the items."""


#: Abbreviations that are spelt out and whose first letter begins with a vowel's sound.
_SPELT = frozenset({"MP3", "MP4", "SVG", "XCF", "XML"})


def with_article(noun: str) -> str:
    """A noun with its indefinite article, for sentences that are put together: `a PNG file`, `an AVIF file`."""
    first = noun.split(" ", 1)[0]
    return f"{'an' if first[:1].lower() in 'aeio' or first in _SPELT else 'a'} {noun}"
