//! What can be asked of a supervisor, and the answers.
