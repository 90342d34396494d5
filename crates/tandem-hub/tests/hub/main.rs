//! Tests against a hub on the loopback interface.

mod access;
mod download;
mod faults;
mod offline;
mod place;
