//! The daemon, killed at any instruction and started again, loses nothing that was accepted.
//!
//! `matrix` drives the real binary with many keys at once, over WebSocket and a chat platform, while a scripted model and a
//! scripted platform write down all they see; it kills the daemon at random instants and at named places, and hands
//! everything that was seen to `check`, a pure function. `truth` kills it before and after each durable step and says what
//! the user and the platform see.

#[cfg(test)]
mod book;
#[cfg(test)]
mod check;
#[cfg(test)]
mod drive;
#[cfg(test)]
mod matrix;
#[cfg(test)]
mod mind;
#[cfg(test)]
mod names;
#[cfg(test)]
mod process;
#[cfg(test)]
mod record;
#[cfg(test)]
mod rig;
#[cfg(test)]
mod snapshot;
#[cfg(test)]
mod transcript;
#[cfg(test)]
mod truth;
