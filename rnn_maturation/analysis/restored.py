"""The network at any checkpoint: a single graph into which the weights of checkpoints are restored."""

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from threading import Lock

import numpy as np
from cachetools import LRUCache, cached

from rnn_maturation.analysis.memory import hp_text
from rnn_maturation.cpu import n_cores
from rnn_maturation.network import Model, tf1


class Network:
    """One graph for all checkpoints, and one session per core.

    The weights of a checkpoint are restored into a session before anything is computed with it.

    Parameters
    ----------
    hp : dict
        Hyper-parameters.

    Attributes
    ----------
    model : rnn_maturation.network.Model
        Its tensors can be computed with `run`, and its placeholders are fed there.
    """

    def __init__(self, hp):
        with ThreadPoolExecutor(1) as own_thread:  # default graphs belong to threads: the caller's is not changed
            self.model = own_thread.submit(Model, None, hp=hp).result()
        self._graph = self.model.h.graph
        self._graph.finalize()
        self._idle_sessions = SimpleQueue()
        # A session runs all operations in the thread that calls it. Concurrent sessions then do not wait for each
        # other, and the results do not depend on how sums are distributed over threads.
        config = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=-1)
        config.gpu_options.allow_growth = True
        for _ in range(n_cores()):
            self._idle_sessions.put(tf1.Session(graph=self._graph, config=config))

    def run(self, folder, tensor, feed):
        """Compute a tensor with the weights of a checkpoint; several threads may call this at the same time.

        Parameters
        ----------
        folder : Path
            Folder of the checkpoint.
        tensor : tf.Tensor
            Tensor of `model`.
        feed : dict
            {placeholder of `model`: value}.

        Returns
        -------
        numpy.ndarray

        Raises
        ------
        FileNotFoundError, ValueError
            If the checkpoint is missing or damaged.
        """
        session = self._idle_sessions.get()
        try:
            with self._graph.as_default(), session.as_default():
                self.model.restore(folder)
                return session.run(tensor, feed)
        finally:
            self._idle_sessions.put(session)


@cached(LRUCache(maxsize=1), key=hp_text, lock=Lock())
def network(hp):
    """Return the `Network` for some hyper-parameters; it is kept until other hyper-parameters are requested."""
    return Network(json.loads(hp_text(hp)))  # without hp['rng'], which building a network would advance


def noise_seed(hp, trial_num, what):
    """Return the seed of the recurrent noise, which depends only on hp['seed'], the checkpoint and `what`.

    Parameters
    ----------
    hp : dict
    trial_num : int
        Trial number of the checkpoint.
    what : str
        Name of what is computed; different names give different noise.

    Returns
    -------
    (2,) int64 array
    """
    text = f"{hp.get('seed', 0)} {int(trial_num)} {what}"
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<i8")
