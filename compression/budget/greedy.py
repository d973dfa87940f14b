"""Step by step the cheapest way to shrink, then what is left spent on the best ways back: a baseline."""

from math import inf

from compression.budget.problem import CLOSE, NOTHING, Choice, Problem, cheapest, total


def greedy(problem: Problem) -> Choice:
    """From the options of least cost, always the change of one layer that costs least for what it takes off, until the limits hold.

    Then, while there is one that fits, the change of one layer that lowers the cost most. No promise of how good that is. Raises
    ValueError where it finds nothing that fits, which with several limits does not mean that there is nothing.
    """
    problem.reachable()
    places = list(cheapest(problem.cost))
    while not problem.fits(places):
        over = [total(x.weights, places) - x.most for x in problem.limits]
        best = min(_rate(problem, over, places, i, j) for i, row in enumerate(problem.cost) for j in range(len(row)))
        if best[0] == inf:
            raise ValueError(NOTHING)
        places[best[1]] = best[2]
    while (back := _back(problem, places)) is not None:
        places[back[0]] = back[1]
    return problem.choice(places)


def _rate(problem: Problem, over: list[float], places: list[int], i: int, j: int) -> tuple[float, int, int]:
    """Cost of layer i's option j for what it takes off all that is over the limits; infinite where it takes nothing off."""
    off = sum((max(0.0, o) - max(0.0, o + x.weights[i][j] - x.weights[i][places[i]])) / x.range for o, x in zip(over, problem.limits))
    return (float(problem.cost[i][j] - problem.cost[i][places[i]]) / off if off > CLOSE else inf), i, j


def _back(problem: Problem, places: list[int]) -> tuple[int, int] | None:
    """The change of one layer that lowers the cost most and still fits; None where there is none."""
    better = sorted((float(row[j] - row[places[i]]), i, j) for i, row in enumerate(problem.cost) for j in range(len(row)) if row[j] < row[places[i]])
    return next(((i, j) for _, i, j in better if problem.fits([*places[:i], j, *places[i + 1 :]])), None)
