//! Supervisors that end with their significant children.
