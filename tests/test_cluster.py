"""A study and a scan in this process, in several, and on a local dask cluster: the same tables, also where workers die on the way."""

import os
import signal
import sys
from types import ModuleType

import pytest
import torch
from working import dies_once, refuses

from compression.cluster import study
from compression.cluster.parcel import opened, packed
from compression.cluster.scan import crew
from compression.cluster.where import HERE, Where, spread, where
from compression.engine.instrument import Instrument
from compression.engine.sampling import Tolerance
from compression.network import network
from compression.recipe import Recipe, step
from compression.search import grid
from compression.sensitivity import scan
from compression.zoo import shipped
from compression.zoo.catalogue import ZOO

NAME = "digits-mlp"


def small():
    """A network that does not ship, with a split that teaches, so that all of it has to be sent."""
    net = shipped.load(NAME)
    module = ZOO[NAME].build()
    module.load_state_dict({k: v * 1.01 for k, v in net.module.state_dict().items()})
    return network("mine", "Mine", module, net.data)


def recipes():
    rewritten = Recipe((step("quantization.uniform", bits=4),)).with_first(step("rewriting.remove_units"))
    return [*grid(Recipe(), (0.0, 0.5, 0.8), (32, 4)), Recipe((step("pruning.wanda", sparsity=0.6),)), rewritten, Recipe(repairs=("biases",))]


SCANS = [("pruning.magnitude", "sparsity", (0.5, 0.8, 0.95)), ("lowrank.tucker2", "rank", (0.5,)), ("rewriting.remove_units", "share", (0.25, 0.5))]


def scanned(instrument, name, knob, values, by=None):
    *_, last = (s for s in scan(instrument, name, knob, values, instrument.network.data["validation"], Tolerance(0.01, 0.0), crew=by) if s)
    assert last.stage == "done"
    return repr(last.cells)  # in which not a number equals itself


@pytest.mark.parametrize("text, found", [
    ("here", HERE), ("", HERE), ("processes:4", Where("processes", 4)), ("ray", Where("ray")),
    ("dask:tcp://10.0.0.5:8786", Where("dask", address="tcp://10.0.0.5:8786"))])
def test_words_name_a_place_to_work(text, found):
    assert where(text) == found


@pytest.mark.parametrize("text, says", [
    ("processes:0", "how many"), ("processes:x", "how many"), ("dask:", "scheduler"), ("a b", "no place"), ("ray:1", "no place")])
def test_other_words_are_refused_in_a_sentence(text, says):
    with pytest.raises(ValueError, match=says):
        where(text)


def test_a_backend_that_is_not_there_is_refused_in_a_sentence():
    with pytest.raises(ValueError, match="joblib cannot work on “nonesuch”"):
        list(spread(refuses, "", [1], where("nonesuch")))


def test_a_cluster_that_does_not_answer_is_said_in_a_sentence(monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr("compression.cluster.where.PATIENCE", 1)
    with pytest.raises(ValueError, match="no dask scheduler answers at tcp:"):
        list(spread(refuses, "", [1], where("dask:tcp://127.0.0.1:9")))


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr("compression.cluster.where.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install distributed"):
        list(spread(refuses, "", [1], where("dask:tcp://127.0.0.1:9")))


def test_a_network_that_does_not_ship_arrives_whole():
    net = small()
    mine = Instrument(net)
    parcel = packed(mine, net.data["validation"])
    there = opened(parcel)
    assert there.network is not net and there.network.digest == net.digest != shipped.load(NAME).digest
    assert torch.equal(there.known(there.network.data["validation"])[0].answers, mine.known(net.data["validation"])[0].answers)
    with pytest.raises(ValueError, match="other weights or data"):
        opened(parcel._replace(digest="0"))


def test_processes_lose_a_worker_and_find_the_same(tmp_path):
    done = [pair for pair in spread(dies_once, str(tmp_path), range(5), where("processes:2")) if pair]
    assert sorted(done) == [(i, 10 * i) for i in range(5)] and (tmp_path / "died").exists()
    with pytest.raises(ValueError, match="told 7"):
        list(spread(refuses, "told", [7], where("processes:2")))


def test_a_backend_that_gives_results_only_together_is_asked_piece_by_piece():
    net = small()
    instrument, data = Instrument(net), net.data["validation"]
    on = where("sequential")  # goes the way of ray's, which is not among what is required
    assert study.table(study.study(instrument, recipes()[:3], data, 0.02, on)) == study.table(study.study(instrument, recipes()[:3], data, 0.02))


def test_a_dask_cluster_loses_a_worker_and_finds_the_same(monkeypatch):
    """To the last bit: sizes, accuracies, losses, examples asked."""
    dask, distributed = pytest.importorskip("dask"), pytest.importorskip("distributed")
    monkeypatch.setattr("compression.cluster.where.PATIENCE", 300)  # a busy machine takes long to begin two workers
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))  # new processes run that anew; AppTest has put the app there
    net = small()
    instrument, data = Instrument(net), net.data["validation"]
    alone = study.table(study.study(instrument, recipes(), data, 0.02))
    assert [p.recipe for p in alone] == recipes()
    patient = dask.config.set({f"distributed.comm.timeouts.{what}": "300s" for what in ("connect", "tcp")})
    with patient, distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, scheduler_port=0) as cluster:
        on = where(f"dask:{cluster.scheduler_address}")
        found, victim = [], next(iter(cluster.workers.values())).pid
        for pair in study.study(instrument, recipes(), data, 0.02, on):
            if pair is not None:
                found.append(pair)
            if len(found) == 1 and victim:
                os.kill(victim, signal.SIGKILL)
                victim = 0
        assert not victim and study.table(iter(found)) == alone
        assert scanned(instrument, *SCANS[0], crew(on)) == scanned(instrument, *SCANS[0])


@pytest.mark.parametrize("name, knob, values", SCANS)
def test_a_scan_whose_layers_are_asked_one_by_one_finds_the_same(name, knob, values):
    net = shipped.load(NAME)
    instrument = Instrument(net)
    assert scanned(instrument, name, knob, values, crew(HERE)) == scanned(instrument, name, knob, values)
