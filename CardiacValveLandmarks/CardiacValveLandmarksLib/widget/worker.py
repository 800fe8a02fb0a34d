"""One task at a time beside the interface, in a thread; what comes of it is handed over by a timer.

A task touches no node and no widget. Slicer's event loop may keep Python's lock while it waits for events, and then a
thread would stand still; so the timer sleeps for a moment each time, which lets it run, and is short enough that the
interface does not wait noticeably.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable

import qt

#: the timer's rhythm and how much of it is the thread's, s
_INTERVAL, _YIELD = 0.010, 0.010

Progress = Callable[[float, str], None]
Task = Callable[[Progress, Callable[[], bool]], object]


class Worker:
    """Runs `task(progress, cancel)`. `running` until its end was handed over."""

    def __init__(self) -> None:
        self._messages: queue.SimpleQueue = queue.SimpleQueue()
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(round(1000 * _INTERVAL))
        self._timer.timeout.connect(self.poll)
        self._handlers: dict[str, Callable] = {}

    @property
    def running(self) -> bool:
        return self._thread is not None

    @property
    def cancelled(self) -> bool:
        return self._cancel.is_set()

    def start(
        self,
        task: Task,
        done: Callable[[object], None],
        failed: Callable[[Exception], None],
        cancelled: Callable[[], None],
        progress: Progress,
    ) -> None:
        """Start; exactly one of done, failed and cancelled is called, on the main thread, after the last progress."""
        if self.running:
            raise RuntimeError("a task is running")
        self._cancel = threading.Event()
        self._messages = queue.SimpleQueue()
        self._handlers = {"done": done, "failed": failed, "progress": progress, "cancelled": cancelled}
        self._thread = threading.Thread(target=self._run, args=(task, self._messages, self._cancel), daemon=True)
        self._thread.start()
        self._timer.start()

    @staticmethod
    def _run(task: Task, messages: queue.SimpleQueue, cancel: threading.Event) -> None:
        try:
            result = task(lambda part, text: messages.put(("progress", part, text)), cancel.is_set)
        except Exception as error:  # whatever it is: the main thread says it
            if not cancel.is_set():
                logging.getLogger(__name__).debug("the task failed", exc_info=True)
            messages.put(("failed", error))
        else:
            messages.put(("done", result))

    def cancel(self) -> None:
        """Ask the task to stop; what it still brings is thrown away."""
        self._cancel.set()

    def poll(self) -> None:
        """Let the thread run for a moment and hand over what it has said."""
        time.sleep(_YIELD)
        latest = None
        while self.running:
            try:
                kind, *values = self._messages.get_nowait()
            except queue.Empty:
                break
            if kind == "progress":
                latest = values
                continue
            self._finish()
            # only the newest progress is worth showing, and none after the end
            if self.cancelled:
                self._handlers["cancelled"]()
            else:
                self._handlers[kind](*values)
            return
        if latest is not None and not self.cancelled:
            self._handlers["progress"](*latest)

    def _finish(self) -> None:
        self._timer.stop()
        self._thread.join()
        self._thread = None

    def wait(self) -> None:
        """Block until the task has ended and its end was handed over: for scripts, where no timer fires."""
        while self.running:
            self.poll()
