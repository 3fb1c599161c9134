#![cfg(test)]
//! The stream of a real server over real sockets, seen by a reference client.

mod client;
mod table;
mod world;

mod admission;
mod breaches;
mod events;
mod going;
mod joining;
mod pace;
