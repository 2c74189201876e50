//! The metrics that every process has (Prometheus, "Writing client libraries", process metrics).

use std::fmt;
use std::fs;
use std::time::SystemTime;

use nix::sys::resource::{Resource, UsageWho, getrlimit, getrusage};
use nix::sys::time::TimeValLike as _;

use super::exposition::{Exposition, Family, number, timestamp};

/// Writes them. What the system does not tell is left out.
pub fn encode(out: &mut Exposition<'_>, started: SystemTime) -> fmt::Result {
    let gauge = Family::of_process;
    let family = gauge("process_start_time", "Start time of the process since unix epoch in seconds.").seconds();
    out.gauges(&family, [([], timestamp(started))])?;
    if let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) {
        let time = usage.user_time() + usage.system_time();
        let family = gauge("process_cpu", "Total user and system CPU time spent in seconds.").seconds();
        #[allow(clippy::cast_precision_loss, reason = "2^53 microseconds are 285 years")]
        out.float_counter(&family, time.num_microseconds() as f64 / 1e6)?;
    }
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let family = gauge("process_resident_memory", "Resident memory size in bytes.").bytes();
    out.gauges(&family, field(&status, "VmRSS:").map(|kib| ([], kib * 1024.0)))?;
    let family = gauge("process_virtual_memory", "Virtual memory size in bytes.").bytes();
    out.gauges(&family, field(&status, "VmSize:").map(|kib| ([], kib * 1024.0)))?;
    // One of them is the directory itself.
    let open = fs::read_dir("/proc/self/fd").ok().map(|files| files.count().saturating_sub(1));
    let family = gauge("process_open_fds", "Number of open file descriptors.");
    out.gauges(&family, open.map(|open| ([], number(open))))?;
    let limit = getrlimit(Resource::RLIMIT_NOFILE).ok().and_then(|(soft, _)| usize::try_from(soft).ok());
    let family = gauge("process_max_fds", "Maximum number of open file descriptors.");
    out.gauges(&family, limit.map(|limit| ([], number(limit))))
}

/// A number of `/proc/self/status` (proc(5)).
fn field(status: &str, name: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
