"""Words become values."""

from rlmem.cli.arguments import convert


def test_steps_may_be_written_with_an_exponent():
    assert convert(["1e5"], int | None, "--steps") == 100_000
    assert convert(["5", "50"], int | tuple[int, int], "--env.memory-length") == (5, 50)


def test_a_list_may_be_empty():
    assert convert(["none"], tuple[str, ...], "--agent.auxiliary") == ()
    assert convert(["cue", "phase"], tuple[str, ...], "--agent.auxiliary") == ("cue", "phase")
