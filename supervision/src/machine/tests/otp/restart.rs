//! Who is restarted with whom.
