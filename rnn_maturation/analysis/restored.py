"""The network as it was at any checkpoint: one graph, weights restored into it."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from queue import SimpleQueue

import numpy as np

from rnn_maturation.cpu import n_cores
from rnn_maturation.hyperparameters import plain
from rnn_maturation.network import Model, tf1


class Network:
    """One graph for all checkpoints: weights are restored into it, in a session for each core."""

    def __init__(self, hp):
        with ThreadPoolExecutor(1) as own_thread:  # a default graph belongs to a thread: the caller's stays as it is
            self.model = own_thread.submit(Model, None, hp=hp).result()
        self._graph = self.model.h.graph
        self._graph.finalize()
        self._idle_sessions = SimpleQueue()
        # a session computes in the thread that calls it and no other: two side by side do not wait for each other, and
        # results do not depend on how sums are shared out
        config = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=-1)
        config.gpu_options.allow_growth = True
        for _ in range(n_cores()):
            self._idle_sessions.put(tf1.Session(graph=self._graph, config=config))

    def run(self, folder, tensor, feed):
        """Value of a tensor in the network of a checkpoint folder. May be called from several threads."""
        session = self._idle_sessions.get()
        try:
            with self._graph.as_default(), session.as_default():
                self.model.restore(folder)
                return session.run(tensor, feed)
        finally:
            self._idle_sessions.put(session)


def network(hp):
    """The `Network` of some hyper-parameters, built once for all analyses that follow each other."""
    return _network(hp_text(hp))


@lru_cache(maxsize=1)
def _network(hp_json):
    return Network(json.loads(hp_json))


def hp_text(hp):
    """Hyper-parameters as a text that names them, without the random generator."""
    return json.dumps({key: plain(value) for key, value in hp.items() if key != "rng"}, sort_keys=True)


def noise_seed(hp, trial_num, what):
    """Seed of the recurrent noise, two integers: a pure function of hp['seed'], checkpoint and what is computed."""
    text = f"{hp.get('seed', 0)} {int(trial_num)} {what}"
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<i8")
