//! Tests against a hub on the loopback interface.

mod access;
mod download;
mod faults;
mod model;
mod offline;
mod place;
mod push;
