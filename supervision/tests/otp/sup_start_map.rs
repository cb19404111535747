//! Specs as data: defaults, what is kept of them, what is refused.
