#![doc = include_str!("../README.md")]
#![deny(unsafe_code)]

pub mod checks;
pub mod driver;
pub mod ffi;
pub mod machine;
pub mod ptx;
