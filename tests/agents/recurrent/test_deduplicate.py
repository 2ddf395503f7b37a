"""Identical images are encoded once, without a change of the results."""

import numpy as np
import torch
from memory_bandit import MemoryBandit

from rlmem.agents.recurrent.policy import unique_images
from rlmem.agents.recurrent.ppo import RecurrentPPO

PICTURES = np.random.default_rng(0).integers(0, 256, (5, 1, 36, 36), dtype=np.uint8)
SHOWN = [3, 1, 3, 3, 0, 1, 4, 4, 3, 0]


def test_each_image_maps_to_its_first_occurrence():
    first, inverse = unique_images(PICTURES[SHOWN])
    np.testing.assert_array_equal(first, [0, 1, 4, 6])
    np.testing.assert_array_equal(inverse, [0, 1, 0, 0, 2, 1, 3, 3, 0, 2])
    np.testing.assert_array_equal(PICTURES[SHOWN][first][inverse], PICTURES[SHOWN])


def test_images_that_differ_in_one_pixel_are_two():
    other = PICTURES[:1].copy()
    other[0, 0, -1, -1] ^= 1
    assert len(unique_images(np.concatenate((PICTURES[:1], other)))[0]) == 2


def test_features_do_not_depend_on_the_order_of_images_in_memory():
    policy = RecurrentPPO("CnnPolicy", MemoryBandit(1, 2, observation="image"), n_steps=8, batch_size=8, seed=0).policy
    transposed = np.random.default_rng(1).integers(0, 256, (5, 36, 36, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
    for once in (True, False):
        policy._deduplicates = once
        np.testing.assert_array_equal(policy.encode(transposed), policy.encode(transposed.copy()))


def test_features_and_gradients_are_those_of_encoding_each_and_fewer_images_are_encoded():
    env = MemoryBandit(1, 2, observation="image")
    policy = RecurrentPPO("CnnPolicy", env, n_steps=8, batch_size=8, seed=0).policy
    pictures = np.random.default_rng(1).integers(0, 256, (5, *policy.observation_space.shape), dtype=np.uint8)[SHOWN]
    weights = torch.randn(
        len(SHOWN), policy.features_extractor.features_dim, generator=torch.Generator().manual_seed(0)
    )
    seen, found = [], []
    policy.features_extractor.register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    for once in (True, False):
        policy._deduplicates = once
        policy.zero_grad()
        features = policy.features(pictures)
        (features * weights).sum().backward()
        found.append([features.detach(), *(p.grad.clone() for p in policy.features_extractor.parameters())])
    assert seen == [4, 10]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-5)
