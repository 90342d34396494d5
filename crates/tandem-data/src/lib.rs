//! Where pictures come from and what happens to them before a batch.
