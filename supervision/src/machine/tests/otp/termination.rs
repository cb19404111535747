//! What follows the end of a child, by restart type.
