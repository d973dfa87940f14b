"""A network as it is sent to a worker: by its name where it ships, else whole; with the original's answers, so that none are asked twice."""

from collections import OrderedDict
from typing import Any, NamedTuple

import cloudpickle

from compression.data import Data
from compression.engine.instrument import Instrument
from compression.engine.tune import Pace
from compression.network import Network, network
from compression.zoo import shipped

HELD = 4  # instruments that a worker holds, rewritten networks included
_held: OrderedDict[Any, Instrument] = OrderedDict()


class Parcel(NamedTuple):
    """Everything that tasks on one network and one split share."""

    digest: str  # of the network's weights
    teaches: str  # digest of the examples that teach
    data: str  # digest of the examples that judge
    split: str
    pace: Pace  # the sender's: how many examples are asked at a time is part of a result that stops when it is close enough
    content: bytes  # the network's name, or all of it; then what the sender's instrument knows of the original's answers


def packed(instrument: Instrument, data: Data) -> Parcel:
    """To be sent. data: one of the network's splits. Asks the original first, where that was not done."""
    net = instrument.network
    for _ in instrument.answered(data):
        pass
    ships = net.name in shipped.available() and shipped.load(net.name).digest == net.digest and data is net.data.get(data.split)
    splits = {"train": net.data["train"]} if "train" in net.data else {}
    whole = None if ships else (net.title, net.module, splits | {data.split: data}, net.example)
    content = cloudpickle.dumps((net.name, whole, instrument.told(data)))
    return Parcel(net.digest, net.context.digest, data.digest, data.split, instrument.pace(data.inputs), content)


def opened(parcel: Parcel) -> Instrument:
    """The network made ready as the sender has it; the newest few are held. Raises ValueError where the worker has other weights or data."""
    key = parcel.digest, parcel.teaches, parcel.data, parcel.pace
    if key not in _held:
        name, whole, told = cloudpickle.loads(parcel.content)
        net = shipped.load(name) if whole is None else network(name, whole[0], whole[1], whole[2], whole[3])
        if (net.digest, net.context.digest, net.data[parcel.split].digest) != (parcel.digest, parcel.teaches, parcel.data):
            raise ValueError(f"a worker has other weights or data for {net.title}; give all of them the same version of this program")
        _hold(key, Instrument(net, dict(told), pace=parcel.pace))
    _held.move_to_end(key)
    return _held[key]


def beside(parcel: Parcel, net: Network) -> Instrument:
    """The instrument of a rewriting of that network, or its own."""
    if net.digest == parcel.digest:
        return opened(parcel)
    key = parcel.digest, parcel.teaches, parcel.data, parcel.pace, net.digest
    if key not in _held:
        _hold(key, Instrument(net, pace=parcel.pace))
    _held.move_to_end(key)
    return _held[key]


def _hold(key: Any, instrument: Instrument) -> None:
    _held[key] = instrument
    while len(_held) > HELD:
        _held.popitem(last=False)
