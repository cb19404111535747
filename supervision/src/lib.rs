//! OTP for our actors.
