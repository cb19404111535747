//! Specs and flags that make no sense.
