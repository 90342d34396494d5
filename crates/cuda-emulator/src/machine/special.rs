//! Special registers: `%tid.x` and its like.

/// A special register, filled in before a block starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub enum Special {
    ThreadIndex(usize),
    ThreadCount(usize),
    BlockIndex(usize),
    BlockCount(usize),
    Lane,
    WarpIndex,
    WarpCount,
    LanesEqual,
    LanesBelow,
    LanesUpTo,
    LanesAbove,
    LanesFrom,
    /// Clocks and timers: the emulator has no time, they stand still.
    Zero,
    WarpSize,
    DynamicShared,
}

impl Special {
    /// From its name in PTX.
    pub fn from_name(name: &str) -> Option<Special> {
        let axis = |name: &str| match name.rsplit_once('.') {
            Some((stem, "x")) => Some((stem.to_string(), 0)),
            Some((stem, "y")) => Some((stem.to_string(), 1)),
            Some((stem, "z")) => Some((stem.to_string(), 2)),
            _ => None,
        };
        if let Some((stem, axis)) = axis(name) {
            return Some(match stem.as_str() {
                "%tid" => Special::ThreadIndex(axis),
                "%ntid" => Special::ThreadCount(axis),
                "%ctaid" => Special::BlockIndex(axis),
                "%nctaid" => Special::BlockCount(axis),
                _ => return None,
            });
        }
        Some(match name {
            "%laneid" => Special::Lane,
            "%warpid" => Special::WarpIndex,
            "%nwarpid" => Special::WarpCount,
            "%lanemask_eq" => Special::LanesEqual,
            "%lanemask_lt" => Special::LanesBelow,
            "%lanemask_le" => Special::LanesUpTo,
            "%lanemask_gt" => Special::LanesAbove,
            "%lanemask_ge" => Special::LanesFrom,
            "%clock" | "%clock_hi" | "%clock64" | "%globaltimer" | "%globaltimer_lo"
            | "%globaltimer_hi" | "%smid" => Special::Zero,
            "%dynamic_smem_size" => Special::DynamicShared,
            "WARP_SZ" => Special::WarpSize,
            _ => return None,
        })
    }
}
