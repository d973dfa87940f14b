"""Which operations feel a change of weights, in which order they run, and when a value may be overwritten or let go."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from torch import fx, nn

from compression.engine.trace import in_place, makes_new

Run = Callable[[list[Any]], Any]


class Stage(NamedTuple):
    """One operation: where its result goes, how it is computed from the values so far, and whose values end with it."""

    place: int
    run: Run
    ends: tuple[int, ...]


class Plan(NamedTuple):
    """The operations that must run again when some weights change, and the values of the original's run that they read."""

    stages: tuple[Stage, ...]
    reads: tuple[int, ...]  # places computed by the original's run
    first: tuple[int, ...]  # places of the operations that use the weights themselves


class Operations:
    """A traced network, each operation made ready to run once."""

    def __init__(self, graph: fx.Graph, root: nn.Module) -> None:
        self.root = root
        self.nodes = list(graph.nodes)
        self.place = {n: i for i, n in enumerate(self.nodes)}
        self.output = self.place[self.nodes[-1].args[0]]
        self.input = next(i for i, n in enumerate(self.nodes) if n.op == "placeholder")
        self.run = [_ready(n, self.place, root) for n in self.nodes]

    def users_of(self, names: Iterable[str]) -> tuple[int, ...]:
        """Places of the operations that use these parameters: modules they are in, or reads of the parameter itself."""
        return tuple(i for i, n in enumerate(self.nodes) for name in names if
                     (n.op == "call_module" and name.startswith(f"{n.target}.")) or (n.op == "get_attr" and n.target == name))

    def consumers(self, places: Iterable[int]) -> tuple[int, ...]:
        """The same, with the operations that a parameter is an operand of in place of its reading."""
        found = {self.place[u] for p in places if self.nodes[p].op == "get_attr" for u in self.nodes[p].users}
        return tuple(sorted(found | {p for p in places if self.nodes[p].op != "get_attr"}))

    def plan(self, first: Iterable[int], keep: frozenset[int] = frozenset(), without: frozenset[int] = frozenset()) -> Plan:
        """Everything that follows from some places, themselves included.

        keep: places whose values must outlive the run, and so are not overwritten. without: places whose values are put in by
        the caller.
        """
        felt = set(first)
        for i, n in enumerate(self.nodes[:-1]):
            if any(self.place[a] in felt for a in n.all_input_nodes):
                felt.add(i)
        order = [i for i in sorted(felt) if i not in without]
        used = {self.place[a]: i for i in order for a in self.nodes[i].all_input_nodes}  # by place: its last user
        ends: dict[int, list[int]] = {}
        for place, user in used.items():
            if place in felt and place not in keep and place != self.output:
                ends.setdefault(user, []).append(place)
        own = {i for i in felt if makes_new(self.nodes[i], self.root)} - keep - {self.output}
        stages = tuple(Stage(i, self._overwriting(i, own) or self.run[i], tuple(ends.get(i, ()))) for i in order)
        reads = sorted({p for i in order for p in map(self.place.get, self.nodes[i].all_input_nodes) if p not in felt})
        return Plan(stages, tuple(reads), tuple(first))

    def ancestors(self, places: Iterable[int]) -> frozenset[int]:
        """Some places, and all that their values are computed from."""
        found = set(places)
        for i in range(max(found, default=-1), -1, -1):
            if i in found:
                found |= {self.place[a] for a in self.nodes[i].all_input_nodes}
        return frozenset(found)

    def _overwriting(self, i: int, own: set[int]) -> Run | None:
        """How to run an operation over an operand that nobody else needs; None where there is none."""
        node = self.nodes[i]
        known = in_place(node, self.root)
        if known is None:
            return None
        operands, function = node.all_input_nodes, known[1]
        for a in operands:
            p = self.place[a]
            if p in own and len(a.users) == 1:
                others = [self.place[b] for b in operands if b is not a]
                if others:
                    return lambda v, f=function, p=p, q=others[0]: f(v[p], v[q])
                return lambda v, f=function, p=p: f(v[p])
        return None


def execute(plan: Plan, values: list[Any], only: frozenset[int] | None = None) -> None:
    """Run a plan's operations, or those at some places; values (one per operation of the network) are read and filled in."""
    for place, run, ends in plan.stages:
        if only is not None and place not in only:
            continue
        values[place] = run(values)
        for end in ends:
            values[end] = None


def _ready(node: fx.Node, place: dict[fx.Node, int], root: nn.Module) -> Run:
    """A function from the values so far to this operation's result."""
    if node.op == "get_attr":
        prefix, _, name = node.target.rpartition(".")
        owner = root.get_submodule(prefix)
        return lambda v: getattr(owner, name)
    if node.op == "call_module":
        function: Callable[..., Any] = root.get_submodule(node.target)
    elif node.op == "call_method":
        function = lambda x, *a, _name=node.target, **k: getattr(x, _name)(*a, **k)  # noqa: E731
    else:
        function = node.target
    args, kwargs = node.args, node.kwargs
    if not kwargs and all(isinstance(a, fx.Node) for a in args):
        ids = tuple(place[a] for a in args)
        if len(ids) == 1:
            return lambda v, i=ids[0]: function(v[i])
        if len(ids) == 2:
            return lambda v, i=ids[0], j=ids[1]: function(v[i], v[j])
        return lambda v: function(*[v[i] for i in ids])
    if not kwargs and isinstance(args[0], fx.Node) and not any(_nodes(a) for a in args[1:]):
        return lambda v, i=place[args[0]], rest=tuple(args[1:]): function(v[i], *rest)

    def general(v: list[Any]) -> Any:
        def value(n: fx.Node) -> Any:
            return v[place[n]]
        return function(*fx.node.map_arg(args, value), **fx.node.map_arg(kwargs, value))
    return general


def _nodes(argument: Any) -> bool:
    found: list[fx.Node] = []
    fx.node.map_arg(argument, found.append)
    return bool(found)
