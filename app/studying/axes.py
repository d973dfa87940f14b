"""What can be put on the two axes of a trade-off: how it is read off a row, in which unit, and how far the axis reaches. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite, log, log10
from typing import NamedTuple

from compression.evaluate import Estimate
from compression.measure import Latency
from compression.recipe import Recipe
from compression.search import Point

STEP = 2.0  # by which an axis grows where a point would lie outside: rarely, so that it stands still while points come in


class Row(NamedTuple):
    """One measured recipe, as a mark on the chart and a line in the table."""

    number: int  # its place among all rows
    study: int  # the place of its study among those on the chart
    said: str  # its settings in words
    network: str  # title of the network it was measured on
    point: Point
    parameters: int  # of the untouched network on screen
    kind: str = "sweep"  # or "search", "random", "dense"
    settings: tuple[float, ...] = ()  # of each of DIALS, the mean over all weights
    timed: tuple[Latency, ...] = ()

    @property
    def recipe(self) -> Recipe:
        return self.point.recipe

    @property
    def control(self) -> bool:
        """Whether it only stands beside the recipes, to be compared with."""
        return self.kind in ("random", "dense")


Read = Callable[[Row], float | None]


@dataclass(frozen=True)
class Axis:
    """One number of a row, in the unit that is shown."""

    word: str  # in sentences and in the table: "size"
    title: str
    unit: str
    read: Read
    spread: Callable[[Row], tuple[float, float] | None]  # the ends of its interval
    digits: int
    better: str  # "smaller"
    no_worse: str  # "no larger"
    more_is_better: bool = False

    def shown(self, value: float) -> str:
        """With its unit: 21.0 KB."""
        return f"{value:,.{self.digits}f}{self.unit and ' '}{self.unit}"

    def good(self, row: Row) -> float:
        """The number, turned so that more is better."""
        value = self.read(row)
        return value if self.more_is_better else -value


def _none(row: Row) -> None:
    return None


def _time(batch: int) -> Axis:
    def find(row: Row) -> Latency | None:
        return next((x for x in row.timed if x.batch == batch), None)

    def read(row: Row) -> float | None:
        found = find(row)
        return None if found is None else found.ratio

    def spread(row: Row) -> tuple[float, float] | None:
        found = find(row)
        return None if found is None else (found.ratio_low, found.ratio_high)

    return Axis(f"latency, batch of {batch}", f"latency of a batch of {batch}, measured (× the original’s in the same rounds)", "×", read, spread, 2,
                "quicker", "no slower")


def costs(batches: Sequence[int]) -> dict[str, Axis]:
    """What should be little, by its word in a picker."""
    return {
        "bytes": Axis("size", "file size (KB)", "KB", lambda r: r.point.file_bytes / 1e3, _none, 1, "smaller", "no larger"),
        "multiply-adds": Axis("multiply-adds", "multiply-adds of one example (millions)", "M",
                              lambda r: None if r.point.multiply_adds is None else r.point.multiply_adds / 1e6, _none, 2,
                              "cheaper in multiply-adds", "no more multiply-adds"),
        "bits per weight": Axis("bits per weight", "bits per weight: file bits ÷ weights of the original", "bit",
                                lambda r: 8 * r.point.file_bytes / r.parameters, _none, 2, "smaller per weight", "no larger per weight"),
        **{f"latency, batch of {batch}": _time(batch) for batch in batches},
    }


def goods(text: bool, labels: bool) -> dict[str, Axis]:
    """What should be much, or as little loss as can be, by its word in a picker."""
    def share(word: str, better: str, no_worse: str, pick: Callable[[Row], Estimate | None]) -> Axis:
        def spread(row: Row) -> tuple[float, float] | None:
            found = pick(row)
            return None if found is None else (100 * found.low, 100 * found.high)

        def read(row: Row) -> float | None:
            found = pick(row)
            return None if found is None else 100 * found.value

        return Axis(word, f"{word} (%)", "%", read, spread, 1, better, no_worse, more_is_better=True)

    agreement = share("agreement", "closer to the original", "as close to the original",
                      lambda r: None if r.kind == "dense" else r.point.quality.agreement)  # another network agrees with itself
    if not labels:
        return {"agreement": agreement}
    loss = Axis("loss", "loss (bits per character), less is better" if text else "loss (cross-entropy, nats), less is better",
                "bit" if text else "nats", lambda r: r.point.quality.bits if text else r.point.quality.loss, _none, 3, "lower in loss",
                "no higher in loss")
    return {"accuracy": share("accuracy", "more accurate", "no less accurate", lambda r: r.point.quality.accuracy), "loss": loss,
            "agreement": agreement}


def reach(values: Sequence[float], low: float, high: float) -> tuple[float, float]:
    """Ends of an axis: from low to high, and further by doublings where a value lies outside; low may be 0, where it stays.

    >>> reach([3.0, 250.0], 8.0, 200.0)
    (2.0, 400.0)
    """
    values = [v for v in values if isfinite(v)]
    while low > 0 and values and 0 < min(values) < low:
        low /= STEP
    while values and max(values) > high:
        high *= STEP
    return low, high


def scaled(axis: Axis, logarithmic: bool) -> Callable[[Row], float]:
    """How the axis is read for what depends on its scaling."""
    return (lambda row: log(axis.read(row))) if logarithmic else axis.read


def outside(rows: Sequence[Row], axis: Axis, ends: tuple[float, float]) -> int:
    """How many rows an axis with these ends does not show."""
    return sum(not min(ends) <= axis.read(row) <= max(ends) for row in rows)


def on_log(ends: tuple[float, float]) -> tuple[float, float]:
    """Ends as plotly wants them of a logarithmic axis."""
    return log10(ends[0]), log10(ends[1])
