"""Training on minibatches of ever new sizes does not fill memory."""

from conftest import run_python

GROWTH = """
import rlmem, torch
torch.set_num_threads(1)
layer = torch.nn.Conv2d(3, 16, 4, stride=2)
def megabytes():
    return int(open("/proc/self/statm").read().split()[1]) * 4 // 1024
def train(sizes):
    for size in sizes:
        layer(torch.zeros(size % 200 + 1, 3, 24 + size % 7, 24)).sum().backward()
train(range(180, 200))
before = megabytes()
train(range(400))
print(megabytes() - before)
"""


def test_kernels_of_sizes_seen_before_are_forgotten():
    assert int(run_python(GROWTH).stdout) < 40
