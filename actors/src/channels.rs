//! Chat channels: what they promise, which ones there are, and one actor per account.
//!
//! A channel turns a platform's events into [`contract::Inbound`] and chunks of text into messages. It doesn't know
//! sessions, the store or who answers: those stand behind the ports of [`contract`], filled in by the gateway's wiring.
//! Restarting an account is its supervisor's business; a channel only says how its connection ended.

pub mod account;
pub mod contract;
pub mod handle;
pub mod health;
pub mod registry;
pub mod status;
pub mod telegram;
