"""One engine for many requests: patches wait a few milliseconds for company and go through it together."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.models.classifier import Prediction
from pipeline.web.problems import busy
from pipeline.web.settings import Limits

Patches = npt.NDArray[Any]
Judge = Callable[[Patches], Prediction]

# Enough to keep the cores busy between two looks at the line, and few enough that nobody waits long for the others'.
BATCH: Final = 16
# Seconds that the first patch of a batch waits for others while the engine has nothing else to do.
COMPANY: Final = 0.002


@dataclass(eq=False, slots=True)
class _Asked:
    """One request's patches, how many of them are under way, and the answers so far."""

    patches: Patches
    answer: asyncio.Future[Prediction]
    taken: int = 0
    parts: list[Prediction] = field(default_factory=list)


class Batcher:
    """Asks `judge` about the patches of many requests at once, in one thread; requests take turns.

    `seen` hears the size of every batch.
    """

    def __init__(self, judge: Judge, limits: Limits, seen: Callable[[int], object] = int) -> None:
        self._judge, self._limits, self._seen = judge, limits, seen
        self._line: deque[_Asked] = deque()
        self._came = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._rate = 100.0
        self.waiting = 0
        self._task = asyncio.get_running_loop().create_task(self._work(), name="batches")

    async def judge(self, patches: Patches) -> Prediction:
        """Answers for patches (n, y, x, band), as the engine alone would give them.

        Raises:
            Problem: too many are waiting (429), or the answer took too long.
        """
        if self.waiting + len(patches) > self._limits.queue:
            raise busy(f"{self.waiting} patches are waiting for the model", self.waiting / self._rate)
        asked = _Asked(patches, asyncio.get_running_loop().create_future())
        self.waiting += len(patches)
        self._line.append(asked)
        self._came.set()
        try:
            return await asyncio.wait_for(asked.answer, self._limits.patience)
        except TimeoutError:
            raise busy("the model is too busy to answer in time", self.waiting / self._rate) from None
        finally:
            if asked in self._line:  # given up before all was taken
                self._line.remove(asked)
                self.waiting -= len(patches) - asked.taken

    async def close(self) -> None:
        """Ends the thread; what still waits is refused."""
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        for asked in self._line:
            asked.answer.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        while True:
            self._came.clear()
            if not self._line:
                await self._came.wait()
                if self.waiting < BATCH:
                    await asyncio.sleep(COMPANY)
            taken = self._take()
            if not taken:
                continue
            patches = np.concatenate([asked.patches[start:stop] for asked, start, stop in taken])
            began = time.perf_counter()
            try:
                answer = await asyncio.get_running_loop().run_in_executor(self._thread, self._judge, patches)
            except Exception as error:
                self._fail(taken, error)
                continue
            self._rate += 0.1 * (len(patches) / max(time.perf_counter() - began, 1e-6) - self._rate)
            self._seen(len(patches))
            self._give(taken, answer)

    def _take(self) -> list[tuple[_Asked, int, int]]:
        """The next batch: from each request in turn, so that a large picture does not keep chips waiting."""
        taken: list[tuple[_Asked, int, int]] = []
        room = BATCH
        for _ in range(len(self._line)):
            if not room:
                break
            asked = self._line.popleft()
            share = room if not self._line else max(1, room // 2)
            start, asked.taken = asked.taken, min(len(asked.patches), asked.taken + share)
            taken.append((asked, start, asked.taken))
            room -= asked.taken - start
            if asked.taken < len(asked.patches):
                self._line.append(asked)
        self.waiting -= sum(stop - start for _, start, stop in taken)
        return taken

    @staticmethod
    def _give(taken: list[tuple[_Asked, int, int]], answer: Prediction) -> None:
        at = 0
        for asked, start, stop in taken:
            part = slice(at, at + stop - start)
            at = part.stop
            asked.parts.append(Prediction(answer.probabilities[part], answer.unfamiliar[part]))
            if stop == len(asked.patches) and not asked.answer.done():
                asked.answer.set_result(Prediction(*map(np.concatenate, zip(*asked.parts, strict=True))))

    def _fail(self, taken: list[tuple[_Asked, int, int]], error: Exception) -> None:
        for asked, _, _ in taken:
            if asked in self._line:
                self._line.remove(asked)
                self.waiting -= len(asked.patches) - asked.taken
            if not asked.answer.done():
                asked.answer.set_exception(error)
