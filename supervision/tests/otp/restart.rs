//! Who is restarted with whom, and when that is too much.
