//! How much memory the process has held at most, as the kernel counts it.

use std::fs;

/// The largest resident size of this process since its start or the last [`forget_peak`], in bytes.
/// None where the system does not say (anything but Linux).
pub fn peak_resident_bytes() -> Option<u64> {
    high_water_mark(&fs::read_to_string("/proc/self/status").ok()?)
}

/// Makes the peak start again from what is resident now, so that a measurement does not count what
/// came before it. Does nothing where that is not permitted; the peak is then the whole process's.
pub fn forget_peak() {
    // 5 clears VmHWM alone (proc_pid_clear_refs(5)).
    let _ = fs::write("/proc/self/clear_refs", "5");
}

fn high_water_mark(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_read_from_status() {
        let status = "VmPeak:\t  9000 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        assert_eq!(high_water_mark(status), Some(2048 * 1024));
        assert_eq!(high_water_mark("VmRSS:\t 1024 kB\n"), None);
        assert_eq!(high_water_mark("VmHWM:\t lots kB\n"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn memory_that_was_held_shows_in_the_peak() {
        forget_peak();
        let held = vec![1u8; 64 << 20];
        assert!(std::hint::black_box(&held).iter().all(|&byte| byte == 1));
        drop(held);
        assert!(peak_resident_bytes().unwrap() >= 64 << 20);
    }
}
