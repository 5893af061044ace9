"""The network as it was at any checkpoint: one graph, into which the weights are restored."""

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
    """One graph for all checkpoints, with one session per core into which the weights of a checkpoint are restored.

    Parameters
    ----------
    hp : dict
        Hyper-parameters.

    Attributes
    ----------
    model : rnn_maturation.network.Model
        Its tensors are what `run` computes and is fed with.
    """

    def __init__(self, hp):
        with ThreadPoolExecutor(1) as own_thread:  # a default graph belongs to a thread: the caller's stays as it is
            self.model = own_thread.submit(Model, None, hp=hp).result()
        self._graph = self.model.h.graph
        self._graph.finalize()
        self._idle_sessions = SimpleQueue()
        # A session computes in the calling thread only: sessions side by side do not wait for each other, and the
        # results do not depend on how sums are distributed over threads.
        config = tf1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=-1)
        config.gpu_options.allow_growth = True
        for _ in range(n_cores()):
            self._idle_sessions.put(tf1.Session(graph=self._graph, config=config))

    def run(self, folder, tensor, feed):
        """Compute a tensor of the network of a checkpoint; may be called from several threads.

        Parameters
        ----------
        folder : Path
            Folder of the checkpoint.
        tensor : tf.Tensor
        feed : dict
            {placeholder: value}.

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
    """Return the `Network` of some hyper-parameters, which is built once for all analyses that follow each other."""
    return Network(json.loads(hp_text(hp)))  # a copy without the random generator, which building would advance


def noise_seed(hp, trial_num, what):
    """Return the seed of the recurrent noise, which depends on hp['seed'], the checkpoint and what is computed only.

    Parameters
    ----------
    hp : dict
    trial_num : int
        Trial number of the checkpoint.
    what : str
        Names what is computed: other names give other noise.

    Returns
    -------
    (2,) int64 array
    """
    text = f"{hp.get('seed', 0)} {int(trial_num)} {what}"
    return np.frombuffer(hashlib.sha256(text.encode()).digest()[:16], dtype="<i8")
