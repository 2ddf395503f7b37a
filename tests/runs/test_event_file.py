"""TensorBoard reads the scalars of a run."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rlmem.runs.event_file import EventFile


def test_tensorboard_reads_scalars_and_forgets_what_a_resumed_run_makes_again(tmp_path):
    with EventFile(tmp_path) as board:
        for step in (10, 20, 30):
            board.add_scalar("eval/value", step / 10, step)
    with EventFile(tmp_path, purge_step=21) as board:
        board.add_scalar("eval/value", 7.0, 30)
    found = EventAccumulator(str(tmp_path)).Reload().Scalars("eval/value")
    assert [(event.step, event.value) for event in found] == [(10, 1.0), (20, 2.0), (30, 7.0)]
