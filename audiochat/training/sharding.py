"""A large frozen LLM spread over the processes that train a connector."""

import torch
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from audiochat.errors import DataError
from audiochat.model.torch_engine import TorchLanguageModel
from audiochat.training.processes import Processes


def shard_layers(lm: TorchLanguageModel, processes: Processes) -> None:
    """Leave each process its share of every decoder layer, gathered while the layer is at work.

    The embeddings and the output layer stay whole: they are used by themselves, and are small
    beside the layers of a model that needs this. All processes must then call the LLM equally
    often.

    Raises:
        DataError: there is only one process.
    """
    if processes.count < 2:
        raise DataError(
            "--shard-llm spreads the LLM over several processes and there is one: start it by "
            "`torchrun --nproc-per-node N -m audiochat train align ...`."
        )
    mesh = init_device_mesh(torch.device(processes.device).type, (processes.count,))
    for layer in lm.llama.model.layers:
        fully_shard(layer, mesh=mesh)
