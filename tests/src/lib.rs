//! End-to-end tests of the built command live in `tests/tests`.
