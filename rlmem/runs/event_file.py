"""A file of scalars for TensorBoard, written without a thread, so that a full disk is an error where it is written."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter


class EventFile:
    """Scalars by name and control step. A context manager.

    Args:
        folder: Where the file is made; TensorBoard reads all files of a folder together.
        purge_step: TensorBoard forgets what older files say of this control step and those after it.
    """

    def __init__(self, folder: Path, purge_step: int = 0) -> None:
        name = f"events.out.tfevents.{time.time_ns()}.{secrets.token_hex(4)}"
        self._file = (folder / name).open("wb", buffering=0)
        self._records = RecordWriter(self._file)
        self._write(Event(file_version="brain.Event:2"))
        if purge_step:
            self._write(Event(step=purge_step, session_log=SessionLog(status=SessionLog.START)))

    def __enter__(self) -> EventFile:
        """Begin."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the file."""
        self._file.close()

    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Write a scalar."""
        self._write(Event(step=step, summary=Summary(value=[Summary.Value(tag=name, simple_value=value)])))

    def _write(self, event: Event) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
