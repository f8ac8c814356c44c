"""LeNet-5-BN as a CNN with the batch norms of its adder form, to compare the accuracies of the two.

Run it with: addercost train examples/lenet5_normalized.py --data digits -o run
"""

import torch

from addercost.arithmetic import Arithmetic
from addercost.models.lenet import LeNet5BN

example_inputs = torch.zeros(1, 1, 32, 32)


def build() -> LeNet5BN:
    return LeNet5BN(Arithmetic.MAC, classes=10, normalized=True)
