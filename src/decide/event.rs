//! Events: everything that is logged, as typed values. Other modules can subscribe to them
//! ([`crate::log::subscribe`]).
//!
//! A field has the same meaning in every event. `docs/operations.md` has a table of all fields and a table of all
//! events; a test compares them with this file. The name of a field has its unit: `_s` for seconds, `_ms` for
//! milliseconds, `_us` for microseconds. `reason` is always why something failed, is held or is not used.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::model::node_path::NodePath;
use crate::model::quarantine::Quarantine;
use crate::model::version::Zxid;
use crate::payload::{Format, NotAMember};

mod schema;
#[cfg(test)]
mod tests;

pub use schema::{Field, Hex, Kind, SessionNumber, Severity};

use schema::events;

type Name = Arc<str>;
type Words = &'static str;

events! {
    // Rosters and keys.
    WatchStarted = watch_started Info "watching" { roster: Name, path: String, registry: Name, url: Name, min: Option<usize>, max: Option<usize> }
    RosterLoaded = roster_loaded Info "roster loaded" { roster: Name, path: String, key_count: Option<usize>, members: usize, zxid: Option<Zxid> }
    MembersChanged = members_changed Info "members changed" { roster: Name, path: NodePath, added: Vec<String>, removed: Vec<String>, changed: usize, members: usize, zxid: Option<Zxid> }
    RosterHeld = roster_held Warn "hold in effect" { roster: Name, path: String, reason: String, kept: Option<usize> }
    HoldReleased = hold_released Info "hold released" { roster: Name, path: String }
    HoldAccepted = hold_accepted Info "hold accepted" { roster: Name, uid: u32 }
    RosterStale = roster_stale Warn "using the last known-good data" { roster: Name, path: String, age_s: Option<u64> }
    StaleRefused = stale_refused Warn "last known-good data not used" { template: Name, roster: Name, reason: String }
    FormatChosen = format_chosen Info "format chosen" { roster: Name, path: NodePath, format: Format }
    MemberQuarantined = member_quarantined Warn "member quarantined" { roster: Name, path: NodePath, reason: Quarantine }
    MemberDataIgnored = member_data_ignored Warn "member used without its data" { roster: Name, path: NodePath, reason: Quarantine }
    NotAMember = not_a_member Info "node is not a member; left out" { roster: Name, path: NodePath, reason: NotAMember }

    // Registries.
    RegistryUnreachable = registry_unreachable Warn "registry unreachable; files that depend on it stay as they are" { registry: Name, reason: String }
    RegistryConnected = registry_connected Info "reconnected to registry" { registry: Name }
    RegistryRestarted = registry_restarted Error "registry client restarted" { registry: Name, reason: String }
    RegistryPolled = registry_polled Warn "inotify unavailable; polling the directory registry" { reason: String }
    WatchesDowngraded = watches_downgraded Info "server is older than ZooKeeper 3.6; using one-shot watches" { registry: Name }
    ServersLearned = servers_learned Info "server list received from Exhibitor" { registry: Name, servers: Vec<String> }
    ExhibitorUnreachable = exhibitor_unreachable Warn "no Exhibitor answered; using the known servers" { registry: Name, reason: String }
    NodeSkipped = node_skipped Warn "file skipped" { file: PathBuf, reason: Words }

    // Services.
    ServiceUp = service_up Info "service is up" { service: Name }
    ServiceDown = service_down Warn "service is down" { service: Name, reason: String }
    ServiceChecked = service_checked Debug "service checked" { service: Name, outcome: Words, took_us: u64 }
    Registered = registered Info "service registered" { service: Name, path: String }
    RegistrationUpdated = registration_updated Info "registered node updated" { service: Name, path: String }
    Deregistered = deregistered Info "service deregistered" { service: Name, path: String }
    TakenOver = taken_over Info "node of an earlier session taken over" { service: Name, path: String, owner: SessionNumber }
    ForeignNode = foreign_node Warn "not registered; the node exists and is not this agent's" { service: Name, path: String, owner: SessionNumber }
    RegistrationDisputed = registration_disputed Warn "registered node changed by another client; restored" { service: Name, path: String, reason: Words }
    RegistrationFailed = registration_failed Error "service cannot be registered" { service: Name, path: String, reason: String, retry_in_s: u64 }
    SessionContinued = session_continued Info "session resumed from the previous run" { registry: Name, session: SessionNumber }
    ServiceDrained = service_drained Warn "service drained" { service: Name, uid: u32, reason: Option<String> }
    ServiceUndrained = service_undrained Info "drain ended" { service: Name, uid: Option<u32> }
    ServiceDataFailed = service_data_failed Warn "data_cmd failed; its previous output, if any, stays in use" { service: Name, reason: String }

    // The configuration trees of Jones.
    JonesRecorded = jones_recorded Info "change of Jones's configuration recorded" { service: Name, revision: u64, change: String }
    JonesRecordFailed = jones_record_failed Warn "changes of Jones's configuration cannot be recorded" { service: Name, reason: String, retry_in_s: u64 }
    // Locks.
    LockAcquired = lock_acquired Info "lock acquired" { lock: Name, path: String }
    LockLost = lock_lost Warn "lock lost" { lock: Name, path: String, reason: String }
    LockWaiting = lock_waiting Info "waiting for lock" { lock: Name, path: String, ahead: usize, holder: Option<Name> }
    LockFailed = lock_failed Error "cannot contend for lock" { lock: Name, path: String, reason: String, retry_in_s: u64 }

    // Templates and their files.
    TemplateLoaded = template_loaded Info "managing file" { template: Name, dest: PathBuf }
    TemplateWaiting = template_waiting Info "template waiting for its first known-good data" { template: Name, needs: Vec<Name> }
    KeySkipped = key_skipped Warn "key has no file" { template: Name, key: Name, reason: String }
    RenderFinished = render_finished Debug "rendering finished" { template: Name, dest: PathBuf, outcome: Words, took_us: u64 }
    CheckFinished = check_finished Debug "check finished" { template: Name, dest: PathBuf, outcome: Words, took_us: u64 }
    FileWritten = file_written Info "file written" { template: Name, dest: PathBuf, digest: Option<Hex>, took_ms: Option<u64> }
    FileUnchanged = file_unchanged Info "file unchanged" { template: Name, dest: PathBuf }
    FileRemoved = file_removed Info "file removed" { template: Name, dest: PathBuf }
    FileWouldChange = file_would_change Info "file would be written" { template: Name, dest: PathBuf }
    FileWouldBeRemoved = file_would_be_removed Info "file would be removed" { template: Name, dest: PathBuf }
    AttributesDiffer = attributes_differ Info "mode or owner differs" { template: Name, dest: PathBuf, change: String }
    RenderFailed = render_failed Error "render failed; file unchanged" { template: Name, dest: PathBuf, reason: String }
    CheckRefused = check_refused Error "check failed; file unchanged" { template: Name, dest: PathBuf, reason: String, retry_in_s: Option<u64> }
    CheckFailed = check_failed Error "check not completed; file unchanged" { template: Name, dest: PathBuf, reason: String, retry_in_s: Option<u64> }
    WriteFailed = write_failed Error "write failed; file unchanged" { template: Name, dest: PathBuf, reason: String, errno: Option<i32>, retry_in_s: Option<u64> }
    WriteBlocked = write_blocked Warn "file unchanged; a previous reload with this content failed" { template: Name, dest: PathBuf, reason: String }
    UnitBlocked = unit_blocked Warn "file unchanged; another template of its unit failed" { template: Name, dest: PathBuf, reason: String }
    WritePaused = write_paused Warn "file unchanged; replacements are paused" { template: Name, dest: PathBuf }
    WriteAbandoned = write_abandoned Warn "file unchanged; the agent is stopping" { template: Name, dest: PathBuf }
    FilePinned = file_pinned Warn "file pinned to an earlier generation" { template: Name, dest: PathBuf, generation: u64, uid: u32, reason: Option<String> }
    FileUnpinned = file_unpinned Info "file no longer pinned" { template: Name, uid: Option<u32>, reason: Option<String> }
    RollbackRefused = rollback_refused Warn "rollback refused; file unchanged" { template: Name, dest: PathBuf, generation: u64, uid: u32, reason: String }
    WritePinned = write_pinned Warn "file unchanged; it is pinned to an earlier generation" { template: Name, dest: PathBuf }
    MemberIsolated = member_isolated Warn "member left out" { template: Name, roster: Name, key: Option<Name>, member: Name, reason: String }
    MembersWithoutPort = members_without_port Warn "template reads the port of members that have none" { template: Name, roster: Name, members: usize, reason: String }
    MemberRetried = member_retried Info "isolated member changed; retrying it" { template: Name, roster: Name, key: Option<Name>, member: Name }
    MemberReadmitted = member_readmitted Info "isolated member passes again" { template: Name, roster: Name, key: Option<Name>, member: Name }
    DriftDetected = drift_detected Warn "file changed by another process" { template: Name, dest: PathBuf, reason: String, on_drift: Words }
    DriftDisputed = drift_disputed Warn "file changed again by another process" { template: Name, dest: PathBuf, reason: String, corrections: u32, retry_in_s: u64 }
    DriftCorrected = drift_corrected Info "external change overwritten" { template: Name, dest: PathBuf }
    DriftResolved = drift_resolved Info "external change undone by another process" { template: Name, dest: PathBuf }
    RestoreFailed = restore_failed Error "previous file cannot be restored" { dest: PathBuf, reason: String }
    RemovalRefused = removal_refused Warn "file not removed; rosterd did not write it" { dest: PathBuf, reason: String }
    WrittenInPlace = written_in_place Warn "file is a mount point; writing it in place" { template: Name, dest: PathBuf, source: String }
    HostShadowed = host_shadowed Warn "host is also listed outside the block; programs may use the address given there" { template: Name, dest: PathBuf, block: String, host: String, line: usize }
    WriteRecovered = write_recovered Info "interrupted write finished" { dest: PathBuf }
    WriteRecoveryFailed = write_recovery_failed Warn "interrupted write cannot be finished; retrying" { dest: PathBuf, reason: String }
    SyncFailed = sync_failed Warn "directory not synced; the next write syncs it" { reason: String }
    StagedFileRemoved = staged_file_removed Info "staged file of an earlier run removed" { file: PathBuf }
    StagedFileLeft = staged_file_left Warn "staged file cannot be removed" { file: PathBuf, reason: String }

    // Reloads and other commands.
    ReloadSucceeded = reload_succeeded Info "reload succeeded" { command: String, templates: Vec<Name>, took_ms: u64 }
    ReloadFailed = reload_failed Error "reload failed; still pending" { command: String, templates: Vec<Name>, reason: String, took_ms: Option<u64>, retry_in_s: Option<u64> }
    ReloadInherited = reload_inherited Info "a reload from the previous run is still pending" { command: String, template: Name }
    ReloadPending = reload_pending Warn "a reload is still pending; it runs after the next start" { command: String, templates: Vec<Name> }
    RolledBack = rolled_back Error "reload failed; previous files restored" { templates: Vec<Name>, reason: String }
    RollbackReapplied = rollback_reapplied Warn "rolled-back files were changed; restored again" { templates: Vec<Name> }
    RollbackFailed = rollback_failed Error "rollback failed; files stay as they are" { reason: String }
    ProcessesLeft = processes_left Warn "command left processes running" { command: String, reason: String }

    // The program of `[exec]`.
    ProgramWaiting = program_waiting Warn "waiting for files before starting the program" { templates: Vec<Name>, reason: String }
    ProgramStarted = program_started Info "program started" { command: String, pid: u32 }
    ProgramStartFailed = program_start_failed Warn "program failed to start" { reason: String, retry_in_s: Option<u64> }
    ProgramExited = program_exited Warn "program exited" { reason: String, exit: Option<i32>, signal: Option<String>, retry_in_s: u64 }
    ProgramStopped = program_stopped Info "program stopped" { exit: Option<i32>, signal: Option<String> }
    ProgramSignalled = program_signalled Info "signal sent to program" { pid: u32, signal: String, templates: Option<Vec<Name>> }
    ProgramKilled = program_killed Warn "program killed" { pid: u32, reason: Words }
    SignalReceived = signal_received Info "signal received" { signal: Words, forwarded: bool }
    SignalNotForwarded = signal_not_forwarded Warn "signal is not forwarded" { signal: Words, reason: String }
    ExistingFileUsed = existing_file_used Info "program starts with the existing file" { template: Name }
    OrphansNotReaped = orphans_not_reaped Warn "orphaned processes are not reaped" { reason: String }

    // The agent, its configuration and its state.
    AgentStarted = agent_started Info "agent started" { version: Words, pid: u32 }
    AgentStopping = agent_stopping Info "agent stopping" { signal: Words }
    AgentStopped = agent_stopped Info "agent stopped" {}
    ShutdownTimedOut = shutdown_timed_out Warn "shutdown did not finish within the time limit" { limit_s: u64 }
    ConfigLoaded = config_loaded Info "configuration loaded" { roster_count: usize, key_count: usize, template_count: usize, service_count: usize, changes: Option<usize> }
    ConfigValid = config_valid Info "configuration is valid" { roster_count: usize, key_count: usize, template_count: usize, service_count: usize }
    ConfigChanged = config_changed Info "configuration changed" { change: String }
    DirectoryTrusted = directory_trusted Info "directory is trusted; its permissions are not checked" { dir: PathBuf }
    ConfigWarning = config_warning Warn "configuration warning" { reason: String }
    ConfigRefused = config_refused Error "configuration rejected; the previous one is still in use" { reason: String }
    ConfigReread = config_reread Info "reading the configuration again for a render request" {}
    RestartRequired = restart_required Warn "restart required: [agent] keys other than template_dir changed" {}
    TemplatesChanged = templates_changed Info "templates changed" {}
    TemplatesRefused = templates_refused Error "templates rejected; the previous ones are still in use" { reason: String }
    TemplateWatchFailed = template_watch_failed Warn "templates cannot be watched; edits take effect on HUP" { reason: String }
    DriftWatchFailed = drift_watch_failed Warn "some destinations cannot be watched; checking them every few minutes" { reason: String }
    Paused = paused Warn "file replacement paused" { until: String, uid: u32, reason: Option<String> }
    Resumed = resumed Info "file replacement resumed" { uid: u32 }
    PauseEnded = pause_ended Info "pause ended; file replacement resumed" {}
    StateReadFailed = state_read_failed Warn "saved state is incomplete" { file: Option<PathBuf>, reason: String, effect: Words }
    StateWriteFailed = state_write_failed Warn "state cannot be saved" { file: Option<PathBuf>, reason: String, effect: Words }
    StateMerged = state_merged Info "previously unreadable state restored" { file: PathBuf }
    StateNotOwned = state_not_owned Warn "a state file belongs to another user" { file: PathBuf, reason: String }
    StateReplaced = state_replaced Warn "state file was changed by another process; starting a new one" { file: PathBuf, backup: PathBuf }
    StateDirReplaced = state_dir_replaced Warn "state directory was replaced; locked the new one" { dir: PathBuf }
    StateDirTaken = state_dir_taken Error "state directory was replaced and is locked by another agent" { dir: PathBuf, pid: Option<u32> }
    StateDirLost = state_dir_lost Error "state directory was removed or replaced" { dir: PathBuf, reason: String }
    SocketListening = socket_listening Info "control socket is listening" { socket: PathBuf }
    SocketUnavailable = socket_unavailable Warn "control socket unavailable; retrying" { reason: String }
    SocketError = socket_error Warn "control socket error" { reason: String }
    HttpListening = http_listening Info "HTTP is listening" { listen: String }
    HttpUnavailable = http_unavailable Warn "HTTP unavailable; retrying" { reason: String }
    RequestRefused = request_refused Info "control request refused" { uid: u32, request: String }
    ResolverTimedOut = resolver_timed_out Warn "resolver does not answer; the full host name is not known" { host: String, limit_s: u64 }
    LogFilterRefused = log_filter_refused Warn "invalid log filter" { filter: String, reason: String }

    // A single pass.
    PassFinished = pass_finished Info "pass finished" { exit: u8, by: Words }
    PassInterrupted = pass_interrupted Warn "pass interrupted" {}
    PassAlone = pass_alone Warn "dry run is not using the running agent" { reason: String }
    TemplateTimedOut = template_timed_out Error "template timed out" { template: Name, limit_s: u64 }
    RegistryUnusable = registry_unusable Error "registry cannot be used" { template: Name }
    RegistryTimedOut = registry_timed_out Error "no answer from the registry in time" { template: Name, limit_s: u64 }
    KeyMissing = key_missing Warn "key not found or has no members" { template: Name, key: String }
    PassFailed = pass_failed Warn "not everything is up to date; correct the cause and run rosterd render again" {}
    ChecksNotRun = checks_not_run Info "check_cmd was not run; it may still reject the files of these templates" { templates: Vec<Name> }
    PassReloadPending = pass_reload_pending Error "a reload is still pending; the next rosterd render, or the agent when it starts, runs it" { command: String, templates: Vec<Name> }
    WriteUnfinished = write_unfinished Error "an interrupted write is not finished; the next rosterd render, or the agent when it starts, retries it" {}
}

/// A time in whole seconds, rounded up, at least one.
pub fn seconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1)
}

/// A time in whole microseconds.
pub fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
