//! Trees, counts and odds and ends.
