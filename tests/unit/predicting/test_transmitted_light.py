import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from bundle.predicting.transmitted_light import TransmittedLight
from bundle.preprocessing.resampling import whole_region


class OneAtATime:
    """A file like those of most libraries: its place in the file is lost where two threads read at once."""

    path, shape, dtype, channel_names = Path("cell.tif"), (1, 4, 5, 6), np.dtype(np.uint8), ("bf",)

    def __init__(self):
        self.readers = 0
        self.most = 0

    def read(self, _channel, *region):
        self.readers += 1
        self.most = max(self.most, self.readers)
        time.sleep(0.02)
        self.readers -= 1
        return np.zeros([part.stop - part.start for part in region], np.uint8)


def test_threads_read_a_file_one_after_the_other():
    lazy = OneAtATime()
    light = TransmittedLight(lazy, 0, (0.29, 0.29, 0.29), (0.29, 0.29, 0.29))
    begin = threading.Barrier(4)

    def read():
        begin.wait()
        return light.read(whole_region(light.own)).shape

    with ThreadPoolExecutor(4) as threads:
        assert {future.result() for future in [threads.submit(read) for _ in range(4)]} == {(1, 4, 5, 6)}
    assert lazy.most == 1
