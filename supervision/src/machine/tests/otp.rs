//! The cases of OTP's own suite for supervisors that say what is to be decided, against the decisions alone. The same
//! names as in `tests/otp/`, where the real shell has to pass them.

use super::*;

mod adm;
mod misc;
mod restart;
mod significant;
mod start;
mod stop;
mod termination;
