//! How a driver's process shuts itself in.
//!
//! It has its line and its gateway open already, and needs nothing more of the system than to read, write, wait and have memory. Landlock takes
//! files, TCP, abstract sockets and signals to others away; seccomp has the kernel end the process at any other system call.

use std::collections::BTreeMap;
use std::io;
use std::io::Write as _;
use std::os::fd::{AsRawFd, BorrowedFd};

use landlock::{
    ABI, Access, AccessFs, AccessNet, Compatible, Ruleset, RulesetAttr, RulesetError, RulesetStatus, Scope,
};
use rustix::process::{DumpableBehavior, Resource, Rlimit, getpid, set_dumpable_behavior, setrlimit};
use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, apply_filter_all_threads,
};
use thiserror::Error;

/// Most memory of a driver, in bytes: heap, and what else it alone may write to.
pub const MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// What is asked of Landlock. Older kernels give a part of it.
const WANTED: ABI = ABI::V7;

/// Why a process is not shut in.
#[derive(Debug, Error)]
pub enum NotShutIn {
    /// Limits and flags of the process.
    #[error("limits: {0}")]
    Limits(#[from] io::Error),
    /// Landlock fails, though the kernel has it.
    #[error("Landlock: {0}")]
    Landlock(#[from] RulesetError),
    /// The kernel has no seccomp, or does not take the filter.
    #[error("seccomp: {0}")]
    Seccomp(#[from] seccompiler::Error),
}

impl From<BackendError> for NotShutIn {
    fn from(error: BackendError) -> Self {
        Self::Seccomp(error.into())
    }
}

impl From<rustix::io::Errno> for NotShutIn {
    fn from(error: rustix::io::Errno) -> Self {
        Self::Limits(error.into())
    }
}

/// What a process has open and goes on with.
#[derive(Debug, Clone, Copy)]
pub struct Open<'a> {
    /// What it reads.
    pub read: &'a [BorrowedFd<'a>],
    /// What it writes to, besides standard error.
    pub written: &'a [BorrowedFd<'a>],
}

/// Shuts the process in, for good, with what it has open: any other descriptor that it may have inherited is of no use to it. It has to have one thread. What the kernel's Landlock does not have is said on standard
/// error: seccomp still stands.
///
/// # Errors
///
/// [`NotShutIn`]; what came before it stays.
pub fn shut_in(open: &Open<'_>) -> Result<(), NotShutIn> {
    let most = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    setrlimit(Resource::Core, most(0))?;
    setrlimit(Resource::Data, most(MEMORY_BYTES_MAX))?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    match landlock()? {
        RulesetStatus::FullyEnforced => {}
        RulesetStatus::PartiallyEnforced => {
            drop(writeln!(std::io::stderr(), "this kernel has a part of Landlock only; seccomp stands"))
        }
        RulesetStatus::NotEnforced => {
            drop(writeln!(std::io::stderr(), "this kernel has no Landlock; seccomp stands"))
        }
    }
    apply_filter_all_threads(&filter(open)?)?;
    Ok(())
}

/// Takes everything away, and gives nothing back.
fn landlock() -> Result<RulesetStatus, RulesetError> {
    let ruleset = Ruleset::default()
        .set_compatibility(landlock::CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(WANTED))?
        .handle_access(AccessNet::from_all(WANTED))?
        .scope(Scope::from_all(WANTED))?;
    Ok(ruleset.create()?.restrict_self()?.ruleset)
}

/// What is left of the system calls, with any arguments: to wait, memory, time, randomness, the name of the thread for the words of a
/// panic, and the end, with the first steps of an abort.
const ALLOWED: [libc::c_long; 17] = [
    libc::SYS_ppoll,
    libc::SYS_close,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_sigaltstack,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_rt_sigprocmask,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

fn filter(open: &Open<'_>) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<_, _> = ALLOWED.into_iter().map(|call| (call, Vec::new())).collect();
    rules.insert(libc::SYS_read, of_these(open.read, None)?);
    rules.insert(libc::SYS_write, of_these(open.written, Some(libc::STDERR_FILENO))?);
    // Memory is never a program, nor a file.
    let no_program = masked(2, libc::PROT_EXEC, 0)?;
    let no_file = masked(3, libc::MAP_ANONYMOUS, libc::MAP_ANONYMOUS)?;
    rules.insert(libc::SYS_mmap, vec![SeccompRule::new(vec![no_program.clone(), no_file])?]);
    rules.insert(libc::SYS_mprotect, vec![SeccompRule::new(vec![no_program])?]);
    // The standard library looks whether a file is open before it closes it.
    rules.insert(libc::SYS_fcntl, vec![SeccompRule::new(vec![equal(1, libc::F_GETFD)?])?]);
    // Who has no memory left aborts, which is a signal to itself. It has one thread, which is named as the process is.
    let own = getpid().as_raw_pid();
    let abort = |who, signal| SeccompRule::new(vec![equal(who, own)?, equal(signal, libc::SIGABRT)?]);
    rules.insert(libc::SYS_tgkill, vec![abort(0, 2)?]);
    rules.insert(libc::SYS_tkill, vec![abort(0, 1)?]);
    let here = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::KillProcess, SeccompAction::Allow, here)?.try_into()
}

/// For a call whose first argument is one of these.
fn of_these(files: &[BorrowedFd<'_>], also: Option<libc::c_int>) -> Result<Vec<SeccompRule>, BackendError> {
    let numbers = files.iter().map(AsRawFd::as_raw_fd).chain(also);
    numbers.map(|number| SeccompRule::new(vec![equal(0, number)?])).collect()
}

fn equal(argument: u8, value: libc::c_int) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, wide(value))
}

/// That of the bits of a mask these are set.
fn masked(argument: u8, mask: libc::c_int, bits: libc::c_int) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::MaskedEq(wide(mask)), wide(bits))
}

fn wide(value: libc::c_int) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::{TcpListener, TcpStream};

    use seccompiler::TargetArch;

    use super::*;

    /// Landlock is of the thread that asks for it.
    #[test]
    fn landlock_alone_takes_files_and_connections_away() {
        let shut_in = || {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            if landlock().unwrap() == RulesetStatus::NotEnforced {
                eprintln!("skipped: this kernel has no Landlock");
                return;
            }
            for refused in [
                File::open("/etc/passwd").map(drop),
                File::create("/tmp/thingward-landlock").map(drop),
                std::fs::read_dir("/").map(drop),
                TcpStream::connect(listener.local_addr().unwrap()).map(drop),
                TcpListener::bind("127.0.0.1:0").map(drop),
            ] {
                assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
            }
        };
        std::thread::spawn(shut_in).join().unwrap();
        assert!(File::open("/etc/passwd").is_ok());
    }

    #[test]
    fn there_is_a_filter_for_this_processor() {
        assert!(TargetArch::try_from(std::env::consts::ARCH).is_ok());
        assert!(filter(&Open { read: &[], written: &[] }).is_ok_and(|program| program.len() > ALLOWED.len()));
    }
}
