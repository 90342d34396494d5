//! Tandem's crates as others would use them. The examples beside this folder are a course:
//!
//! 1. `01-lrn-and-overlapping-pooling`: `tandem-ops` inside a network of candle's own layers, with
//!    gradients by candle's autograd.
//! 2. `02-train-two-towers`: a run of `tandem-alexnet` from a few lines of Rust.
//! 3. `03-fine-tune`: other classes from trained weights, the convolutions frozen.
//! 4. `04-a-new-operation`: an operation that neither candle nor Tandem has, from its formula to a
//!    trained network.
//!
//! Each is a program and a test: `cargo run -p tandem-examples --example 01-lrn-and-overlapping-pooling`,
//! `cargo test -p tandem-examples`.
