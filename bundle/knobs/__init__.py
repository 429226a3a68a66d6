"""The knobs at the top of each config: what they are called, what they take, and what a person wrote for them."""

from bundle.knobs.knob import Knob, read_knobs

__all__ = ["Knob", "read_knobs"]
