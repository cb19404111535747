//! The daemon as an operator meets it: the real binaries, what they say, their exit codes, what they leave behind.

#[cfg(test)]
mod chaos;
#[cfg(test)]
mod disk;
#[cfg(test)]
mod disk_errors;
#[cfg(test)]
mod life;
#[cfg(test)]
mod models;
#[cfg(test)]
mod powercut;
#[cfg(test)]
mod program;
#[cfg(test)]
mod refusals;
#[cfg(test)]
mod reload;
#[cfg(test)]
mod store;
