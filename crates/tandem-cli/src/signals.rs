//! Ctrl-C and SIGTERM while training: the first one asks, the second one insists.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

/// Set by the first signal; the trainer looks at it after every step.
#[derive(Debug, Clone)]
pub struct Stop {
    requested: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
}

impl Stop {
    /// Takes over SIGINT and SIGTERM for the rest of the process.
    pub fn install() -> io::Result<Self> {
        let stop = Self {
            requested: Arc::default(),
            signal: Arc::default(),
        };
        for signal in [SIGINT, SIGTERM] {
            // The order matters: the shutdown, armed only by an earlier signal, is looked at first.
            flag::register_conditional_shutdown(
                signal,
                exit_status(signal),
                Arc::clone(&stop.requested),
            )?;
            flag::register_usize(signal, Arc::clone(&stop.signal), signal as usize)?;
            flag::register(signal, Arc::clone(&stop.requested))?;
        }
        Ok(stop)
    }

    /// Whether a signal asked the run to stop.
    pub fn requested(&self) -> bool {
        self.requested.load(Ordering::SeqCst)
    }

    /// 130 after Ctrl-C, 143 after SIGTERM, none when nothing asked.
    pub fn exit_code(&self) -> Option<ExitCode> {
        let signal = self.signal.load(Ordering::SeqCst) as i32;
        match signal {
            SIGINT | SIGTERM => Some(ExitCode::from(exit_status(signal) as u8)),
            _ => None,
        }
    }
}

/// What a shell reports for a process a signal ended.
fn exit_status(signal: i32) -> i32 {
    128 + signal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_signal_sets_the_flag_and_the_exit_code() {
        let stop = Stop::install().unwrap();
        assert!(!stop.requested());
        assert!(stop.exit_code().is_none());
        signal_hook::low_level::raise(SIGTERM).unwrap();
        assert!(stop.requested());
        assert_eq!(stop.exit_code(), Some(ExitCode::from(143)));
    }

    #[test]
    fn shells_know_these_numbers() {
        assert_eq!((exit_status(SIGINT), exit_status(SIGTERM)), (130, 143));
    }
}
