//! Starts that succeed, fail or come to nothing.
