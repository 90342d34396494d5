//! The allocator of the command: memory of a step is kept for the next, on huge pages.
//!
//! A training step allocates and frees the same hundreds of megabytes each time. The system's
//! allocator gives blocks of that size back to the kernel at once and gets them back as fresh
//! pages, which the kernel clears one by one: 60 % of the time of pooling, a fifth of a step
//! (docs/performance.md). jemalloc keeps them, and huge pages spare the processor page walks.

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// jemalloc's settings, as a C string: huge pages wherever they fit, freed blocks kept for reuse
/// (a decay of −1), large blocks in the same pools as all others (no separate, unkept, arena).
// SAFETY: jemalloc declares this symbol as `const char *` and reads it once at its start. The first
// word of a slice is the address of its bytes, which are static and end in NUL; no other crate
// exports the name.
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static SETTINGS: &[u8] =
    b"thp:always,dirty_decay_ms:-1,muzzy_decay_ms:-1,oversize_threshold:0,narenas:1\0";
