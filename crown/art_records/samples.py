"""Invented exports with the counted shapes of the real ones: a base of prints, galleries and editions.

Belongs here: writing the CSV files of one export and of a second one two months later, with the faults of the real
records in the counted numbers, drawn from a seed. Does not belong here: reading or judging exports (`exports/`).
"""

from __future__ import annotations

from datetime import date

import numpy as np

from crown.art_records.sample_files import Export, export
from crown.art_records.sample_parts import (
    GALLERIES,
    ID_ALPHABET,
    PLACES,
    day_of,
    number_of,
)  # fmt: skip

BASE_SIZE = 8410
"""Editions of the first export; every count below is meant for this size and scales with it."""

FIRST_DATE = date(2025, 10, 29)
SECOND_DATE = date(2026, 1, 1)


def sample_exports(seed: int = 4, editions: int = BASE_SIZE) -> tuple[Export, Export]:
    """The first export (28 columns) and the second (22 columns, one row more, 199 rows really changed).

    Args:
        seed: The same seed gives the same bytes.
        editions: Rows of the first editions file, at least 2,000; counts of faults scale with it.
    """
    if editions < 2000:
        raise ValueError("a sample base has at least 2,000 editions: fewer cannot hold every kind of fault")
    base = Base(np.random.default_rng(seed), editions)
    first = export(base, FIRST_DATE, all_columns=True)
    base.two_months_later()
    second = export(base, SECOND_DATE, all_columns=False)
    return first, second


class Base:
    """The whole base in arrays, one entry per edition; `None` is an empty cell."""

    def __init__(self, rng: np.random.Generator, size: int) -> None:
        self.rng = rng
        self.size = size
        self._invent_prints_and_distributors()
        self._number_the_editions()
        self._sell_and_place()
        self._describe()

    def k(self, count: int) -> int:
        """A counted number of the real art tables, scaled to this size."""
        return max(1, round(count * self.size / BASE_SIZE))

    def _ids(self, count: int) -> np.ndarray:
        letters = self.rng.integers(0, len(ID_ALPHABET), size=(count, 14))
        ids = np.array(["rec" + "".join(row) for row in ID_ALPHABET[letters]], dtype=object)
        assert len(set(ids)) == count
        return ids

    def _blank(self) -> np.ndarray:
        return np.full(self.size, None, dtype=object)

    def _invent_prints_and_distributors(self) -> None:
        # The positions of the prints that carry a fault are fixed: tests and readers find them by name.
        self.print_names = ["Priory", "SEAGV2L", "Regatta", "Regatta", "Wide Estuary", "Breakwater Pier ",
                            "NoMansRock ", "TERN ", "wrong flag\nrace day", "Lifeboat House", *PLACES]  # fmt: skip
        count = len(self.print_names)
        self.print_ids = self._ids(count)
        with_total = self.rng.permutation(np.setdiff1d(np.arange(count), [4]))[: 24 - 1]
        totals = np.full(count, None, dtype=object)
        totals[with_total] = [
            int(t) for t in self.rng.choice([100, 150, 200, 250, 400, 500], len(with_total))
        ]
        totals[4] = 250
        self.print_totals = totals
        self.distributor_names = ["Direct", "DIRECT OLD", "Unknown", "P", "checked", *GALLERIES]
        self.distributor_ids = self._ids(len(self.distributor_names))
        shares = self.rng.choice([30, 35, 40, 50], len(self.distributor_names))
        self.distributor_shares = np.array([0, 0, None, 10, None, *shares[5:]], dtype=object)

    def _number_the_editions(self) -> None:
        """Which print each row belongs to and which number it bears; rows are shuffled at the end."""
        k, n = self.k, self.size
        fixed = {0: k(353), 1: k(120), 2: k(202), 3: 1, 4: k(480), 5: k(180), 6: k(130), 7: k(107)}
        rest = n - k(84) - 1 - sum(fixed.values())
        others = [p for p in range(len(self.print_names)) if p not in fixed]
        share = self.rng.uniform(0.6, 1.4, len(others))
        counts = np.floor(share / share.sum() * rest).astype(int)
        counts[: rest - counts.sum()] += 1
        fixed.update(dict(zip(others, counts.tolist(), strict=True)))
        owner = np.concatenate([np.full(fixed[p], p) for p in sorted(fixed)] + [np.full(k(84) + 1, -1)])
        number = self._blank()
        for p, count in fixed.items():
            number[owner == p] = list(range(1, count + 1))
        # Double-linked copies go on counting after the second print's own, so that neither print repeats one.
        number[owner == 0] = [i + fixed[1] for i in range(1, fixed[0] + 1)]
        number[np.flatnonzero(owner == 4)[-1]] = 855 if n == BASE_SIZE else fixed[4]
        number[np.flatnonzero(owner == -1)[-1]] = 7
        self.owner, self.number = owner, number
        self.double = owner == 0
        self.blank = (owner == -1) & np.array([x is None for x in number])

        tails = {p: list(np.flatnonzero(owner == p)[::-1][1:]) for p in others}
        heads = {p: np.flatnonzero(owner == p) for p in others}
        order = sorted(others, key=lambda p: -fixed[p])

        def take(i: int) -> tuple[int, int]:
            p = order[i % len(order)]
            return p, tails[p].pop(0)

        victims, hosts = [], []
        for i in range(k(75)):
            p, row = take(i)
            host = heads[p][i // len(order)]
            number[row] = number[host]
            victims.append(row)
            hosts.append(host)
        p, row = take(0)  # the one triple
        number[row] = number[hosts[0]]
        self.triple = row
        self.hosts, self.victims = np.array(hosts), np.array(victims)
        per_print = -(-k(69) // 5)
        for i in range(k(69)):
            print_at, low = divmod(i, per_print)
            row = tails[order[print_at]].pop(0)
            number[row] = low - per_print
        for i in range(k(5)):
            number[take(i)[1]] = 0
        for i in range(k(29)):
            number[take(i)[1]] = None

    def _pick(self, pool: np.ndarray, count: int) -> np.ndarray:
        return self.rng.permutation(pool)[:count]

    def _sell_and_place(self) -> None:
        k, n, rng = self.k, self.size, self.rng
        duplicate = np.zeros(n, dtype=bool)
        duplicate[np.concatenate([self.hosts, self.victims, [self.triple]])] = True
        sold = np.zeros(n, dtype=bool)
        sold[self.hosts[: k(59)]] = True
        sold[self.victims[: k(59)]] = True
        sold[self._pick(np.flatnonzero(self.double), k(99))] = True
        free = (self.owner >= 0) & ~duplicate & ~self.double
        sold[self._pick(np.flatnonzero(free), k(3820) - int(sold.sum()))] = True
        unsold_named = (self.owner >= 0) & ~sold

        printed = sold | duplicate | (unsold_named & (rng.random(n) < 0.35))
        # The change list of the second export needs fresh stock: 118 untouched copies, a part double-linked.
        fresh = np.concatenate([self._pick(np.flatnonzero(unsold_named & self.double), k(13)),
                                self._pick(np.flatnonzero(unsold_named & free), k(105))])  # fmt: skip
        printed[fresh] = False
        cleared = self._pick(np.flatnonzero(sold & free), k(11))
        printed[cleared] = False
        printed[np.flatnonzero(self.blank)[0]] = True
        has_place = printed & (sold | (rng.random(n) < 0.9)) & ~self.blank
        has_place[cleared] = True
        untouched = np.setdiff1d(np.flatnonzero(unsold_named & ~printed & free), fresh)
        has_place[self._pick(untouched, k(44) - k(11))] = True
        has_place[self._pick(np.setdiff1d(np.flatnonzero(sold & free), cleared), k(5))] = False

        at = self._blank()
        at[has_place] = [int(d) for d in rng.integers(4, 23, int(has_place.sum()))]
        at[has_place & (at == 4)] = 0  # about one in nineteen sells direct; the list's `checked` gets its own
        special = self._pick(np.flatnonzero(has_place & sold & free), k(52) + k(76) + k(5) + k(3))
        for d, count in ((1, k(52)), (2, k(76)), (3, k(5)), (4, k(3))):
            at[special[:count]] = d
            special = special[count:]
        commission = self._blank()
        commission[has_place] = [self.distributor_shares[d] for d in at[has_place]]

        price = self._blank()
        priced = sold | (printed & (rng.random(n) < 0.8)) | (unsold_named & (rng.random(n) < 0.3))
        priced[self.blank] = False
        priced[fresh] = False
        prices = np.array([45, 60, 75, 90, 110, 120, 145, 160, 195, 240, 280, 350, 575], dtype=object) * 100
        price[priced] = rng.choice(prices, int(priced.sum()))
        price[self._pick(np.flatnonzero(sold & free), k(75))] = None
        nothing = np.array([p is not None for p in price]) & free
        price[self._pick(np.flatnonzero(nothing & ~sold), k(175))] = 0
        price[self._pick(np.flatnonzero(nothing & sold), k(205) - k(175))] = 0

        gallery, sale = self._dates(sold, has_place & ~np.isin(np.arange(n), fresh), free)
        settled = sold.copy()
        sold_unpriced = np.flatnonzero(sold & free & np.array([p is None for p in price]))[: k(3)]
        settled[sold_unpriced] = False
        settled[self._pick(np.flatnonzero(settled & free), k(167) - k(3))] = False
        unsold_in_stock = np.flatnonzero(~sold & has_place & free & printed)
        settled[self._pick(unsold_in_stock, k(20))] = True
        late = np.array([d is not None for d in sale])
        stray = self._pick(np.flatnonzero(~sold & has_place & free & ~late & ~settled), k(17))
        days = rng.integers(17_000, 20_300, len(stray))
        for row, day in zip(stray, days, strict=True):
            sale[row] = day_of(int(max(day, number_of(gallery[row]) + 10)))
        self._make_duplicates_differ(price, sale, gallery, at, commission)
        self.duplicate, self.sold, self.printed, self.at = duplicate, sold, printed, at
        self.commission, self.price, self.gallery, self.sale, self.settled = (
            commission, price, gallery, sale, settled)  # fmt: skip
        self.fresh, self.free = fresh, free

    def _make_duplicates_differ(self, price: np.ndarray, sale: np.ndarray, gallery: np.ndarray,
                                at: np.ndarray, commission: np.ndarray) -> None:  # fmt: skip
        """Members of one group disagree about price 60 times, sale date 56 times, distributor 48 times."""
        k = self.k
        for i, (host, twin) in enumerate(zip(self.hosts, self.victims, strict=True)):
            price[host], price[twin] = 9000, 12000 if i < k(60) else 9000
            if sale[host] is not None and (i >= k(56) or sale[host] == sale[twin]):
                sale[twin] = sale[host] if i >= k(56) else (2019, 7, 1 + i % 28)
                gallery[twin] = None  # or it might be after the new sale date
            at[host], at[twin] = 5 + i % 4, 9 + i % 4 if i < k(48) else 5 + i % 4
            commission[host] = self.distributor_shares[at[host]]
            commission[twin] = self.distributor_shares[at[twin]]
        third, first = self.triple, self.hosts[0]  # the triple agrees with its host
        price[third], at[third], commission[third] = price[first], at[first], commission[first]

    def _swap_among_duplicates(self, values: np.ndarray, differing: int) -> None:
        """Let `differing` groups disagree in `values`; swapping with other rows leaves every count alone."""
        spare = np.setdiff1d(np.flatnonzero(self.free), self.fresh)[:4000]
        twins = np.append(self.victims, self.triple)
        for i, twin in enumerate(twins):
            host = self.hosts[i % len(self.hosts)]
            alike = i >= differing
            if (values[twin] == values[host]) != alike:
                other = next(r for r in spare if (values[r] == values[host]) == alike)
                values[twin], values[other] = values[other], values[twin]

    def _dates(
        self, sold: np.ndarray, located: np.ndarray, free: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Gallery and sale dates as (year, month, day): the faulty years do not fit every calendar type."""
        k, n, rng = self.k, self.size, self.rng
        gallery, sale = self._blank(), self._blank()
        sale_day = rng.integers(16_500, 20_380, n)  # 2015 to autumn 2025, in days since 1970
        gallery_day = np.where(sold, sale_day, rng.integers(16_500, 20_380, n)) - rng.integers(0, 500, n)
        shown = located & (rng.random(n) < 0.6)
        undated = self._pick(np.flatnonzero(sold & free), k(138))
        dated = sold.copy()
        dated[undated] = False
        after = self._pick(np.flatnonzero(dated & shown & free), k(137))
        gallery_day[after] = sale_day[after] + rng.integers(1, 300, len(after))
        for row in np.flatnonzero(shown):
            gallery[row] = day_of(int(gallery_day[row]))
        for row in np.flatnonzero(dated):
            sale[row] = day_of(int(sale_day[row]))
        recent = dated & shown & free & (sale_day > 18_700)  # sold after 2020, the year that is meant
        odd = np.setdiff1d(np.flatnonzero(recent), after)[:2]
        gallery[odd[0]], gallery[odd[1]] = (202, 3, 14), (1920, 4, 2)
        return gallery, sale

    def _describe(self) -> None:
        k, n, rng = self.k, self.size, self.rng
        size, frame = self._blank(), self._blank()
        named = np.setdiff1d(np.flatnonzero(self.owner >= 0), self.fresh)
        sized = self._pick(named, n - k(3847) - k(61))
        size[sized] = rng.choice(["Small", "Large", "Extra Large"], len(sized), p=[0.6, 0.3, 0.1])
        size[self._pick(sized, k(219))] = "Unknown"
        framed = self._pick(named, n - k(3945) - k(115))
        frame[framed] = rng.choice(["Framed", "Tube only", "Mounted"], len(framed), p=[0.5, 0.2, 0.3])
        odd = self._pick(framed, k(99) + k(164) + k(30) + k(5))
        for word, count in (("None", 99), ("Unknown Frame", 164), ("Ikea", 30), ("B&Q", 5)):
            frame[odd[: k(count)]] = word
            odd = odd[k(count) :]
        self._swap_among_duplicates(size, k(42))
        self._swap_among_duplicates(frame, k(44))
        self.frame_size, self.frame = size, frame

        checked = self.printed & ~self.sold & (rng.random(n) < 0.4)
        checked[self.blank] = False
        self.checked = checked
        self.in_detail = rng.random(n) < 0.01
        variation, notes, payment = self._blank(), self._blank(), self._blank()
        varied = self._pick(named, k(160))
        variation[varied] = rng.choice(["Blue", "Sepia", "Proof", "Hand tinted"], len(varied))
        variation[varied[:2]] = ["Second state, deckle edge", "Reprint on heavier paper"]
        noted = self._pick(np.setdiff1d(np.flatnonzero(self.sold), []), k(900))
        for i, row in enumerate(noted):
            notes[row] = f"Sold to buyer {i:04d}" + ("\nasked for a second copy" if i % 9 == 0 else "")
        for i in range(3):
            notes[noted[i]] += f" (buyer{i:04d}@mail.invalid)"
        for row in noted[3:16]:
            notes[row] += " for \ufffd90"
        paid = self._pick(np.flatnonzero(self.sold), k(240))
        for i, row in enumerate(paid):
            payment[row] = ("Card", "Cash", f"Transfer from payer {i:04d}")[i % 3]
        self.variation, self.notes, self.payment = variation, notes, payment
        self.order = rng.permutation(n)
        self.ids = self._ids(n)
        self.second_link = np.where(self.double, 1, -1)

    def two_months_later(self) -> None:
        """What people did between the exports: the counted changes, field by field, and one new row."""
        k, rng = self.k, self.rng
        has_price = np.array([p is not None for p in self.price])
        no_date = np.array([d is None for d in self.sale])
        owed = self.sold & ~self.settled
        unpriced = np.flatnonzero(owed & ~has_price)[: k(3)]
        settle = np.concatenate([unpriced, np.flatnonzero(owed & has_price)[: k(42) - k(3)]])
        self.settled[settle] = True
        self.price[settle[: k(3)]] = 9000

        flips = self._sales_of_two_months(has_price, no_date)
        drop = self._pick(np.flatnonzero(self.double & ~self.sold & ~np.isin(np.arange(self.size), self.fresh)),
                          k(6))  # fmt: skip
        self.owner[drop] = 1
        self.second_link[drop] = -1

        s = self.fresh
        self.at[s[: k(116)]] = [int(d) for d in rng.integers(5, 23, k(116))]
        self.commission[s[: k(115)]] = [self.distributor_shares[d] for d in self.at[s[: k(115)]]]
        self.price[s] = rng.choice(np.array([9000, 12000, 16000], dtype=object), len(s))
        self.frame[s[: k(115)]] = rng.choice(["Framed", "Mounted"], k(115))
        self.frame[s[: k(2)]] = "None"
        self.frame_size[s[: k(61)]] = rng.choice(["Small", "Large"], k(61))
        for row in s[: k(93)]:
            self.gallery[row] = (2025, 11, int(rng.integers(1, 29)))
        self.checked[s[: k(60)]] = True
        self.printed[s[: k(58)]] = True
        for i, row in enumerate(s[-k(19) :]):
            self.notes[row] = f"Kept for buyer {i:04d}"
        self.variation[s[-k(3) :]] = "Blue"
        self.really_changed = np.concatenate([settle, flips, drop, s])
        self.print_names[0] = "PRIORY"
        self._add_a_row()

    def _sales_of_two_months(self, has_price: np.ndarray, no_date: np.ndarray) -> np.ndarray:
        """33 sales: 29 dated, 12 with another price, 8 that now get one; one of them had been settled early."""
        k = self.k
        stock = ~self.sold & no_date & ~np.isin(np.arange(self.size), self.fresh)
        located = np.array([a is not None for a in self.at])
        settled = np.flatnonzero(stock & self.settled & located & self.printed & has_price)[:1]
        unprinted = np.flatnonzero(stock & ~self.printed & located & ~self.settled & self.free & has_price)[
            :1
        ]
        unplaced = np.flatnonzero(stock & self.printed & ~located & ~self.settled & self.free & has_price)[:1]
        plain = stock & self.printed & located & ~self.settled
        linked = np.flatnonzero(plain & self.double & has_price)[: k(7)]
        ordinary = plain & self.free & ~self.duplicate
        zero = np.flatnonzero(ordinary & (self.price == 0))[: k(3)]
        missing = np.flatnonzero(ordinary & ~has_price)[: k(8)]
        chosen = np.concatenate([settled, unprinted, unplaced, linked, zero, missing])
        more = np.flatnonzero(ordinary & has_price & (self.price != 0))[: k(33) - len(chosen)]
        flips = np.concatenate([zero, missing, more, linked, settled, unprinted, unplaced])
        self.sold[flips] = True
        for i, row in enumerate(flips[: k(29)]):
            self.sale[row] = (2025, 12, 1 + i % 28)
        self.price[zero] = 11000
        self.price[missing] = 9000
        self.price[more[: k(9)]] = [p + 1500 for p in self.price[more[: k(9)]]]
        return flips

    def _add_a_row(self) -> None:
        """One more row, which repeats the number of a copy that had been alone."""
        host = next(
            int(r) for r in np.flatnonzero(self.owner == 20) if not self.duplicate[r] and self.number[r]
        )
        for name in ("owner", "number", "double", "blank", "sold", "printed", "at", "commission", "price",
                     "gallery", "sale", "settled", "frame_size", "frame", "checked", "in_detail", "variation",
                     "notes", "payment", "second_link"):  # fmt: skip
            array = getattr(self, name)
            setattr(self, name, np.append(array, array[[host]]))
        for name in ("sold", "settled", "checked"):
            getattr(self, name)[-1] = False
        for name in ("sale", "gallery", "at", "commission", "notes", "payment"):
            getattr(self, name)[-1] = None
        self.frame_size[-1], self.frame[-1], self.price[-1], self.printed[-1] = "Small", "Framed", 9000, True
        self.ids = np.append(self.ids, self._ids(1))
        self.order = np.append(self.order, self.size)
        self.size += 1
