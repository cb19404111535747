//! The gateway through its protocol.

#[cfg(test)]
mod boot;
#[cfg(test)]
mod compaction;
#[cfg(test)]
mod effects;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod handwritten;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod replays;
#[cfg(test)]
mod replies;
#[cfg(test)]
mod restart;
#[cfg(test)]
mod sessions;
#[cfg(test)]
mod shapes;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
#[path = "../support/mod.rs"]
mod support;
#[cfg(test)]
mod tarpit;
#[cfg(test)]
mod telegram;
#[cfg(test)]
mod transcripts;
