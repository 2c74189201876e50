//! The agent's use of CPU and memory.

use std::fs;
use std::time::Duration;

use super::site::Agent;

/// The memory of a process at one moment, in KiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// The current resident size.
    pub resident: u64,
    /// The highest resident size.
    pub peak: u64,
    /// The highest virtual size.
    pub space: u64,
}

/// The CPU time of a process without its children's.
pub fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // The name in parentheses may contain blanks. After it, utime and stime are the 12th and 13th fields.
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks: u64 = fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    // Linux reports 100 ticks a second in /proc on all architectures.
    Duration::from_millis(ticks * 10)
}

/// The memory of a process.
pub fn memory(pid: u32) -> Memory {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    };
    Memory { resident: field("VmRSS:"), peak: field("VmHWM:"), space: field("VmPeak:") }
}

impl Agent {
    /// The CPU time of the process without its commands'.
    pub fn cpu(&self) -> Duration {
        cpu(self.pid())
    }

    pub fn memory(&self) -> Memory {
        memory(self.pid())
    }
}
