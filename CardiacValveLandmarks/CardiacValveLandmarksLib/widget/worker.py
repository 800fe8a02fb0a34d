"""One task at a time beside the interface, in a thread; what comes of it is taken in by a timer, a short piece a turn.

A task touches no node and no widget. Slicer's event loop may keep Python's lock while it waits for events, and then a
thread would stand still; so the timer sleeps for a moment each time, which lets it run, and is short enough that the
interface does not wait noticeably.
"""

from __future__ import annotations

import gc
import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator

import qt

#: the timer's rhythm and how long a turn of taking in may last, s
_INTERVAL, _TURN = 0.010, 0.015

#: threads at work
_threads = 0

Progress = Callable[[float, str], None]
Task = Callable[[Progress, Callable[[], bool]], object]


def _collect(again: bool) -> None:
    """No garbage collection while a thread is at work, which would run in it: what is left of nodes and widgets must
    end on the main thread."""
    global _threads
    if not again and _threads == 0:
        gc.disable()
    _threads += -1 if again else 1
    if again and _threads == 0:
        gc.enable()


class Worker:
    """Runs `task(progress, cancel)`. `running` until its end was handed over. share: of each turn, the thread's, s."""

    def __init__(self, share: float = 0.010) -> None:
        self._share = share
        self._messages: queue.SimpleQueue = queue.SimpleQueue()
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(round(1000 * _INTERVAL))
        self._timer.timeout.connect(self.poll)
        self._pieces: Iterator[None] | None = None
        self._polling = False
        self.running, self._cancellable = False, True

    @property
    def cancelled(self) -> bool:
        return self._cancel.is_set()

    def start(
        self,
        task: Task,
        take: Callable[[object], Iterator[None] | None],
        ended: Callable[[str, Exception | None], None],
        progress: Progress,
        cancellable: bool = True,
    ) -> None:
        """Start. On the main thread come the progress, then what `take(result)` does, then `ended`.

        take: a generator's pieces are done in turns, and a cancellation leaves out those to come.
        cancellable: whether `cancel` is heard; if not, the task's end is handed over whatever it is.
        ended(outcome, error): "done", "failed" with what `task` or `take` raised, or "cancelled".
        """
        if self.running:
            raise RuntimeError("a task is running")
        self.running, self._cancellable = True, cancellable
        self._cancel = threading.Event()
        self._messages = queue.SimpleQueue()
        self._take, self._ended, self._progress = take, ended, progress
        _collect(False)
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
        """Ask the task to stop; what it still brings is thrown away. Not for tasks that cannot be cancelled."""
        if self._cancellable:
            self._cancel.set()

    def poll(self) -> None:
        """One turn: let the thread run for a moment, hand over what it has said, or take in some of its result."""
        # a question asked inside a piece or a handler runs the event loop, and with it this timer
        if self._polling or not self.running:
            return
        self._polling = True
        try:
            if self._thread is not None:
                self._listen()
            else:
                self._take_in()
        finally:
            self._polling = False

    def _listen(self) -> None:
        time.sleep(self._share)
        latest = None
        while self._thread is not None:
            try:
                kind, *values = self._messages.get_nowait()
            except queue.Empty:
                break
            if kind == "progress":
                latest = values
                continue
            self._thread.join()
            self._thread = None
            _collect(True)
            if self.cancelled:
                self._end("cancelled")
            elif kind == "failed":
                self._end("failed", values[0])
            else:
                self._pieces = self._taking(values[0])
        # only the newest progress is worth showing, and none after the end
        if latest is not None and self._thread is not None and not self.cancelled:
            self._progress(*latest)

    def _taking(self, result: object) -> Iterator[None]:
        yield from self._take(result) or ()

    def _take_in(self) -> None:
        if self._pieces is None:
            # in a turn of its own: what is in the scene by now is shown there
            self._end("done")
            return
        until = time.monotonic() + _TURN
        try:
            while time.monotonic() < until:
                if self.cancelled:
                    self._pieces.close()
                    self._end("cancelled")
                    return
                next(self._pieces)
        except StopIteration:
            self._pieces = None
        except Exception as error:  # as in the thread
            logging.getLogger(__name__).debug("the result was not taken in", exc_info=True)
            self._end("failed", error)

    def _end(self, outcome: str, error: Exception | None = None) -> None:
        self._timer.stop()
        self._pieces, self.running = None, False
        self._ended(outcome, error)

    def wait(self) -> None:
        """Block until the task has ended and its end was handed over: for scripts, where no timer fires."""
        while self.running:
            self.poll()
