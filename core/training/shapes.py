"""The data stream where pictures have several sizes: every micro-batch is of one."""

from collections.abc import Callable, Sequence

import torch

from core.training.batches import Batch, BatchStream, Position, Source, permutation


class BucketStream:
    """Draws each micro-batch from one bucket, for all processes the same one.

    The bucket is a function of seed and position alone. A round has as many micro-batches as an epoch has places, in a
    new order each time; each bucket has as many of them as it has places. So every picture is seen as often as
    without buckets: each place once in as many items as there are places, over a whole round exactly.
    """

    def __init__(self, counts: Sequence[int], make: Callable[[int, Callable[[int], int]], BatchStream], seed: int):
        """Makes the buckets' own streams.

        Args:
            counts: places of an epoch in each bucket, at least 1.
            make: makes the stream of a bucket, which counts its own micro-batches by the function that it is given.
            seed: of the training.
        """
        self.seed, self.count = seed, sum(counts)
        self.bucket_at = torch.repeat_interleave(torch.tensor(counts)).tolist()
        self.counts = list(counts)
        self.streams = [make(bucket, self._turn(bucket)) for bucket in range(len(counts))]

    @property
    def buckets(self) -> list[list[Source]]:
        """The sources by the size of their pictures."""
        return [stream.sources for stream in self.streams]

    @property
    def items(self) -> int:
        """Items of the global batch in one optimizer step."""
        return self.streams[0].items

    def bucket(self, micro: int) -> int:
        """The bucket of a micro-batch, counted over all steps."""
        order = permutation(self.seed, "bucket", micro // self.count, self.count)
        return self.bucket_at[order[micro % self.count]]

    def names(self, step: int) -> list[str]:
        """The files of the pictures in a step's global batch, each once."""
        per_step = self.streams[0].micro_steps
        found = [
            name
            for micro in range(per_step)
            for name in self.streams[self.bucket(step * per_step + micro)].names_of(Position(step, micro))
        ]
        return list(dict.fromkeys(found))

    def draw(self, position: Position, probability: float) -> Batch:
        """This process's share of the micro-step at ``position``, on the CPU."""
        micro = position.step * self.streams[0].micro_steps + position.micro
        return self.streams[self.bucket(micro)].draw(position, probability)

    def _turn(self, bucket: int) -> Callable[[int], int]:
        def turn(micro: int) -> int:
            """How many micro-batches of the bucket come before this one."""
            past, place = divmod(micro, self.count)
            order = permutation(self.seed, "bucket", past, self.count)
            return past * self.counts[bucket] + sum(self.bucket_at[at] == bucket for at in order[:place])

        return turn
