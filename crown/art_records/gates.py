"""The gates of art records: where people decide, and the verdicts that each knows.

Differences of exports are plans (`crown.ledger.plans`), which know their verdicts themselves.
"""

from __future__ import annotations

from crown.ledger.verdicts import DeclaredVerdict, Gate

#: On the text of an exception from a formula's oracle: its approval signs it.
FORMULA_EXCEPTIONS = Gate("art_records/formula_exceptions", (DeclaredVerdict("approve"),))
#: On what a check found: its approval accepts it.
CHECKED = Gate("art_records/checks", (DeclaredVerdict("approve"),))
GATES = (FORMULA_EXCEPTIONS, CHECKED)
