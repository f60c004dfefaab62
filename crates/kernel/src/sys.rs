//! The system calls for which the standard library has no safe form. The only unsafe code of the project.
//!
//! Every function checks its return value and turns it into an `io::Error`; descriptors come in as borrows and go out
//! as owners.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// A close-on-exec socket.
pub fn socket(domain: libc::c_int, kind: libc::c_int, protocol: libc::c_int) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is new and ours.
    unsafe {
        let fd = check(libc::socket(domain, kind | libc::SOCK_CLOEXEC, protocol))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Sets an integer option.
pub fn set_option(fd: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, value: libc::c_int) -> io::Result<()> {
    // SAFETY: the pointer and length describe `value`, which outlives the call.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    check(result).map(|_| ())
}

/// Has a device of the calling thread's namespace hand over frames with whole checksums (`ETHTOOL_STXCSUM` of
/// linux/ethtool.h).
pub fn sum_up_frames(device: &str) -> io::Result<()> {
    const ETHTOOL_STXCSUM: u32 = 0x17;
    const SIOCETHTOOL: libc::c_ulong = 0x8946;
    /// struct ethtool_value
    #[repr(C)]
    struct Value {
        command: u32,
        data: u32,
    }
    let mut value = Value { command: ETHTOOL_STXCSUM, data: 0 };
    let socket = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
    // SAFETY: any bytes are a valid `ifreq`.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    if device.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(device.bytes()) {
        *to = from.cast_signed();
    }
    request.ifr_ifru.ifru_data = (&raw mut value).cast();
    // SAFETY: `request` ends its name with a NUL and points to `value`; both outlive the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), SIOCETHTOOL as _, &raw mut request) }).map(|_| ())
}

/// Reads an option into `buffer`, which may also hold the question.
pub fn get_option(fd: BorrowedFd<'_>, level: libc::c_int, name: libc::c_int, buffer: &mut [u8]) -> io::Result<()> {
    let mut len = libc::socklen_t::try_from(buffer.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: pointer and length describe `buffer`; the kernel writes no more than that, and any bytes are valid there.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, buffer.as_mut_ptr().cast(), &raw mut len) };
    check(result).map(|_| ())
}

/// `SO_NETNS_COOKIE` (asm-generic/socket.h): the number of the network namespace that a socket belongs to.
pub fn netns_cookie(fd: BorrowedFd<'_>) -> io::Result<u64> {
    const SO_NETNS_COOKIE: libc::c_int = 71;
    let mut cookie = 0u64;
    let mut len = size_of::<u64>() as libc::socklen_t;
    // SAFETY: both pointers are to locals of the size that `len` names.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, SO_NETNS_COOKIE, (&raw mut cookie).cast(), &raw mut len)
    };
    check(result).map(|_| cookie)
}

/// Sends to the kernel (netlink port 0).
pub fn send_to_kernel(fd: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<()> {
    // SAFETY: sockaddr_nl is plain data, all zeros is a valid value; pointers are to locals and to `bytes`.
    let sent = unsafe {
        let mut address: libc::sockaddr_nl = std::mem::zeroed();
        address.nl_family = libc::AF_NETLINK as u16;
        libc::sendto(
            fd.as_raw_fd(),
            bytes.as_ptr().cast(),
            bytes.len(),
            0,
            (&raw const address).cast(),
            size_of::<libc::sockaddr_nl>() as libc::socklen_t,
        )
    };
    match usize::try_from(sent) {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) => Err(io::Error::other("netlink send was cut short")),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Where a datagram comes from or goes to.
#[derive(Clone, Copy)]
pub struct Peer {
    address: libc::sockaddr_in6,
    length: libc::socklen_t,
}

impl Peer {
    /// None yet.
    pub const fn none() -> Self {
        // SAFETY: sockaddr_in6 is plain data, all zeros is a valid value.
        Peer { address: unsafe { std::mem::zeroed() }, length: 0 }
    }

    /// Its address and port; `None` for one of another family.
    pub fn address(&self) -> Option<SocketAddr> {
        let family = libc::c_int::from(self.address.sin6_family);
        match family {
            libc::AF_INET => {
                // SAFETY: a sockaddr_in is shorter than a sockaddr_in6 and needs no greater alignment, and the kernel
                // wrote one, as the family says.
                let v4 = unsafe { *(&raw const self.address).cast::<libc::sockaddr_in>() };
                let address = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
                Some(SocketAddr::from((address, u16::from_be(v4.sin_port))))
            }
            libc::AF_INET6 => {
                let address = Ipv6Addr::from(self.address.sin6_addr.s6_addr);
                let port = u16::from_be(self.address.sin6_port);
                Some(SocketAddrV6::new(address, port, 0, self.address.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

/// How many datagrams go in one call.
pub const AT_ONCE: usize = 32;

/// Receives datagrams without waiting, each into a part of the buffer of its own; returns how many. One that is longer
/// than its part is cut.
pub fn receive_many(
    fd: BorrowedFd<'_>,
    buffer: &mut [u8],
    peers: &mut [Peer; AT_ONCE],
    lengths: &mut [usize; AT_ONCE],
) -> io::Result<usize> {
    let part = buffer.len() / AT_ONCE;
    // SAFETY: all of these are plain data, all zeros is a valid value.
    let mut parts: [libc::iovec; AT_ONCE] = unsafe { std::mem::zeroed() };
    // SAFETY: the same.
    let mut messages: [libc::mmsghdr; AT_ONCE] = unsafe { std::mem::zeroed() };
    let places = buffer.chunks_exact_mut(part.max(1)).zip(peers.iter_mut());
    for ((message, vector), (place, peer)) in messages.iter_mut().zip(&mut parts).zip(places) {
        *vector = libc::iovec { iov_base: place.as_mut_ptr().cast(), iov_len: place.len() };
        message.msg_hdr.msg_name = (&raw mut peer.address).cast();
        message.msg_hdr.msg_namelen = size_of::<libc::sockaddr_in6>() as libc::socklen_t;
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
    }
    // SAFETY: each message points to a part of `buffer` and a peer, which live longer than the call and are nobody
    // else's; there are as many as the number says.
    let count = unsafe {
        libc::recvmmsg(
            fd.as_raw_fd(),
            messages.as_mut_ptr(),
            AT_ONCE as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            std::ptr::null_mut(),
        )
    };
    let count = usize::try_from(check(count)?).unwrap_or(0);
    for ((message, peer), length) in messages.iter().zip(peers).zip(lengths).take(count) {
        peer.length = message.msg_hdr.msg_namelen;
        *length = message.msg_len as usize;
    }
    Ok(count)
}

/// Sends datagrams without waiting; returns how many. At most [`AT_ONCE`] of them go.
pub fn send_many<'a>(fd: BorrowedFd<'_>, all: impl Iterator<Item = (&'a Peer, &'a [u8])>) -> io::Result<usize> {
    // SAFETY: all of these are plain data, all zeros is a valid value.
    let mut parts: [libc::iovec; AT_ONCE] = unsafe { std::mem::zeroed() };
    // SAFETY: the same.
    let mut messages: [libc::mmsghdr; AT_ONCE] = unsafe { std::mem::zeroed() };
    let mut count = 0;
    for ((message, vector), (peer, bytes)) in messages.iter_mut().zip(&mut parts).zip(all) {
        *vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        message.msg_hdr.msg_name = (&raw const peer.address).cast_mut().cast();
        message.msg_hdr.msg_namelen = peer.length;
        message.msg_hdr.msg_iov = vector;
        message.msg_hdr.msg_iovlen = 1;
        count += 1;
    }
    // SAFETY: the kernel only reads what the first `count` messages point to: peers and bytes that are borrowed for
    // longer than the call.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), messages.as_mut_ptr(), count, libc::MSG_DONTWAIT as _) };
    Ok(usize::try_from(check(sent)?).unwrap_or(0))
}

/// Receives without waiting. `Ok(None)`: the queue is empty. A datagram larger than the buffer is an error.
pub fn receive(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    loop {
        // SAFETY: the pointer and length describe `buffer`.
        let n = unsafe {
            libc::recv(fd.as_raw_fd(), buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_DONTWAIT | libc::MSG_TRUNC)
        };
        match usize::try_from(n) {
            Ok(n) if n > buffer.len() => return Err(io::Error::other("netlink message larger than the buffer")),
            Ok(n) => return Ok(Some(n)),
            Err(_) => match io::Error::last_os_error() {
                e if e.kind() == io::ErrorKind::Interrupted => {}
                e if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                e => return Err(e),
            },
        }
    }
}

/// As [`receive`], with the number of the namespace that the message is from (`NETLINK_LISTEN_ALL_NSID`); `None` for
/// the socket's own. What does not fit into the buffer is cut off.
pub fn receive_from(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<Option<(usize, Option<i32>)>> {
    #[repr(align(8))]
    struct Control([u8; 64]);
    let mut control = Control([0; 64]);
    let mut parts = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: msghdr is plain data, all zeros is a valid value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut parts;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = control.0.len() as _;
    // SAFETY: the header's pointers are to locals and to `buffer`, with their lengths.
    let n = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let Ok(n) = usize::try_from(n) else {
        return match io::Error::last_os_error() {
            e if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            e => Err(e),
        };
    };
    // SAFETY: the kernel has filled the header and `control`; the macros stay within its length.
    let namespace = unsafe {
        let first = libc::CMSG_FIRSTHDR(&raw const header);
        let is_ours = !first.is_null()
            && (*first).cmsg_level == libc::SOL_NETLINK
            && (*first).cmsg_type == libc::NETLINK_LISTEN_ALL_NSID;
        is_ours.then(|| libc::CMSG_DATA(first).cast::<i32>().read_unaligned())
    };
    Ok(Some((n, namespace)))
}

thread_local! {
    static NETNS_MOVES: Cell<u64> = const { Cell::new(0) };
}

/// How often the calling thread was moved to another network namespace. Only this module can move it.
pub(crate) fn netns_moves() -> u64 {
    NETNS_MOVES.get()
}

/// Moves the calling thread into a network namespace.
pub fn enter_netns(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::setns(fd.as_raw_fd(), libc::CLONE_NEWNET) })?;
    NETNS_MOVES.set(NETNS_MOVES.get() + 1);
    Ok(())
}

/// Kinds of namespaces. The type cannot hold other flags of unshare(2), such as `CLONE_FILES`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Namespaces(libc::c_int);

impl Namespaces {
    /// `CLONE_NEWNET`.
    pub const NET: Self = Namespaces(libc::CLONE_NEWNET);
    /// `CLONE_NEWNS`.
    pub const MOUNT: Self = Namespaces(libc::CLONE_NEWNS);
    /// `CLONE_NEWUSER`.
    pub const USER: Self = Namespaces(libc::CLONE_NEWUSER);
    /// `CLONE_NEWPID`: for the children that the process starts later.
    pub const PID: Self = Namespaces(libc::CLONE_NEWPID);

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Namespaces(self.0 | other.0)
    }
}

/// Gives the calling thread new namespaces.
pub fn unshare(namespaces: Namespaces) -> io::Result<()> {
    // SAFETY: no pointers. The type holds only namespace flags, which leave memory and descriptors shared.
    check(unsafe { libc::unshare(namespaces.0) })?;
    NETNS_MOVES.set(NETNS_MOVES.get() + 1);
    Ok(())
}

/// The kind of namespace that a file leads to: `CLONE_NEWNET`, ... (`NS_GET_NSTYPE`, linux/nsfs.h).
pub fn namespace_kind(fd: BorrowedFd<'_>) -> io::Result<libc::c_int> {
    const NS_GET_NSTYPE: libc::c_ulong = 0xb703;
    // SAFETY: this ioctl takes no argument.
    check(unsafe { libc::ioctl(fd.as_raw_fd(), NS_GET_NSTYPE as _) })
}

/// mount(2).
pub fn mount(source: &Path, target: &Path, kind: Option<&str>, flags: libc::c_ulong) -> io::Result<()> {
    let source = c_path(source)?;
    let target = c_path(target)?;
    let kind = kind.map(CString::new).transpose().map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    // SAFETY: all pointers are to NUL-terminated strings that outlive the call, or null where mount(2) allows it.
    let result = unsafe {
        libc::mount(
            source.as_ptr(),
            target.as_ptr(),
            kind.as_ref().map_or(std::ptr::null(), |k| k.as_ptr()),
            flags,
            std::ptr::null(),
        )
    };
    check(result).map(|_| ())
}

/// A copy of what is mounted at a path, with all below, that is mounted nowhere (open_tree(2)).
pub fn copy_mount(at: &Path) -> io::Result<OwnedFd> {
    const OPEN_TREE_CLONE: libc::c_uint = 1;
    let at = c_path(at)?;
    let flags = OPEN_TREE_CLONE | (libc::O_CLOEXEC | libc::AT_RECURSIVE).cast_unsigned();
    // SAFETY: the pointer is to a NUL-terminated string that outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, at.as_ptr(), flags) };
    let fd = check(fd as libc::c_int)?;
    // SAFETY: the kernel has just made the descriptor, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Mounts such a copy at a path (move_mount(2)).
pub fn put_mount(copy: BorrowedFd<'_>, at: &Path) -> io::Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;
    let at = c_path(at)?;
    // SAFETY: both pointers are to NUL-terminated strings that outlive the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            copy.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            at.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    };
    check(result as libc::c_int).map(|_| ())
}

/// umount2(2) with `MNT_DETACH`.
pub fn detach_mount(target: &Path) -> io::Result<()> {
    let target = c_path(target)?;
    // SAFETY: the pointer is to a NUL-terminated string that outlives the call.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }).map(|_| ())
}

/// The two sides of a fork.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fork {
    /// In the new process.
    Child,
    /// In the old one, with the number of the new process.
    Parent(u32),
}

/// fork(2). Refused while the process has a second thread: a lock that this thread holds at that moment, the
/// allocator's for instance, would stay locked in the child for ever.
pub fn fork() -> io::Result<Fork> {
    // proc(5): the folder has a link for itself, one for its parent, and one for each thread.
    if std::fs::metadata("/proc/self/task")?.nlink() != 3 {
        return Err(io::Error::other("the process has a second thread"));
    }
    // SAFETY: no pointers. The calling thread is the only one, so no other thread holds a lock or starts a thread
    // between the line above and this one.
    let pid = check(unsafe { libc::fork() })?;
    Ok(if pid == 0 { Fork::Child } else { Fork::Parent(pid.cast_unsigned()) })
}

/// Ends the process at once: no destructors, no buffers flushed.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: ends the process; no pointers.
    unsafe { libc::_exit(code) }
}

/// How a child ended: its exit code, or 128 plus the signal's number, as in shells. `None`: it still runs.
pub fn reap_child(pid: u32) -> io::Result<Option<i32>> {
    let mut status = 0;
    // SAFETY: the pointer is to a local.
    let ended = check(unsafe { libc::waitpid(pid.cast_signed(), &raw mut status, libc::WNOHANG) })?;
    Ok(match ended {
        0 => None,
        _ if libc::WIFEXITED(status) => Some(libc::WEXITSTATUS(status)),
        _ if libc::WIFSIGNALED(status) => Some(128 + libc::WTERMSIG(status)),
        _ => None,
    })
}

/// Leaves the caller's session and terminal.
pub fn new_session() -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::setsid() }).map(|_| ())
}

/// pidfd_open(2), Linux 5.3: a descriptor that stands for this process, even when another has its number later.
pub fn open_process(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: no pointers; the descriptor is new, ours and close-on-exec.
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid.cast_signed(), 0);
        let fd = RawFd::try_from(fd).map_err(|_| io::Error::from_raw_os_error(libc::EBADF))?;
        Ok(OwnedFd::from_raw_fd(check(fd)?))
    }
}

/// pidfd_send_signal(2), Linux 5.1.
pub fn signal_process(process: BorrowedFd<'_>, signal: libc::c_int) -> io::Result<()> {
    let nothing = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null siginfo is allowed; the descriptor is open.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, nothing, 0) };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// kill(2).
pub fn kill(pid: u32, signal: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointers.
    check(unsafe { libc::kill(pid.cast_signed(), signal) }).map(|_| ())
}

/// Asks for `signal` when the parent ends.
pub fn die_with_parent(signal: libc::c_int) -> io::Result<()> {
    // SAFETY: PR_SET_PDEATHSIG takes a signal number, no pointers.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::c_ulong::from(signal.cast_unsigned()), 0, 0, 0) })
        .map(|_| ())
}

/// The process id of the parent.
pub fn parent_pid() -> u32 {
    // SAFETY: no pointers, cannot fail.
    unsafe { libc::getppid() }.cast_unsigned()
}

/// Blocks these signals for the calling thread; [`wait_signal`] takes them.
pub fn block_signals(signals: &[libc::c_int]) -> io::Result<()> {
    // SAFETY: sigset_t is plain data, made by sigemptyset; pointers are to locals.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        check(libc::sigemptyset(&raw mut set))?;
        for signal in signals {
            check(libc::sigaddset(&raw mut set, *signal))?;
        }
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())).map(|_| ())
    }
}

/// Stops the process as SIGTSTP does, which is blocked, until another process continues it. The kernel stops no process
/// of an orphaned process group: no shell could continue it.
pub fn stop_here() -> io::Result<()> {
    // SAFETY: as in `block_signals`. The signal is pending when it is unblocked, so it takes effect before the call
    // returns.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        check(libc::sigemptyset(&raw mut set))?;
        check(libc::sigaddset(&raw mut set, libc::SIGTSTP))?;
        check(libc::raise(libc::SIGTSTP))?;
        check(libc::sigprocmask(libc::SIG_UNBLOCK, &raw const set, std::ptr::null_mut()))?;
        check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut())).map(|_| ())
    }
}

/// Whether the process leads its session.
pub fn leads_session() -> bool {
    // SAFETY: no pointers.
    unsafe { libc::getsid(0) == libc::getpid() }
}

/// Unblocks all signals.
pub fn unblock_signals() -> io::Result<()> {
    // SAFETY: as in `block_signals`.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        check(libc::sigemptyset(&raw mut set))?;
        check(libc::sigprocmask(libc::SIG_SETMASK, &raw const set, std::ptr::null_mut())).map(|_| ())
    }
}

/// Gives these signals their default effect. An ignored signal stays ignored across execve(2), and a shell cannot trap
/// one that it finds ignored.
pub fn heed_signals(signals: &[libc::c_int]) -> io::Result<()> {
    for signal in signals {
        // SAFETY: SIG_DFL is no function of ours.
        if unsafe { libc::signal(*signal, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// The sender of a signal (`si_code`, sigaction(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// A process, by kill(2), tgkill(2) or sigqueue(3).
    Process,
    /// The kernel: for a key or the hang-up of the terminal, or for a child that ended. A signal of the terminal goes
    /// to every process of the foreground group.
    Kernel,
}

/// Waits for one of these (blocked) signals.
pub fn wait_signal(signals: &[libc::c_int]) -> io::Result<(libc::c_int, Sender)> {
    // SAFETY: as in `block_signals`; siginfo_t is plain data, and the kernel fills it.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let mut set: libc::sigset_t = std::mem::zeroed();
        check(libc::sigemptyset(&raw mut set))?;
        for signal in signals {
            check(libc::sigaddset(&raw mut set, *signal))?;
        }
        loop {
            match check(libc::sigwaitinfo(&raw const set, &raw mut info)) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                // SI_FROMUSER of linux/signal.h: zero and below come from processes.
                other => return Ok((other?, if info.si_code <= 0 { Sender::Process } else { Sender::Kernel })),
            }
        }
    }
}

/// Closes every descriptor from `first` on, except `keep`. For [`crate::process::detach`] alone: owners of a closed
/// descriptor must never be used or dropped afterwards.
pub(crate) fn close_from(first: RawFd, keep: &[RawFd]) {
    let mut keep: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd >= first).collect();
    keep.sort_unstable();
    let mut at = first;
    let close = |from: RawFd, to: libc::c_uint| {
        if from.cast_unsigned() <= to {
            // SAFETY: the process ends without using any of these descriptors again; owners in this process image never
            // run their destructors (`exit_now`). Before Linux 5.9 the descriptors stay open.
            unsafe { libc::syscall(libc::SYS_close_range, from.cast_unsigned(), to, 0) };
        }
    };
    for fd in keep {
        if fd > at {
            close(at, (fd - 1).cast_unsigned());
        }
        at = fd + 1;
    }
    close(at, libc::c_uint::MAX);
}

/// The standard streams. No owner in this process closes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standard {
    /// 0.
    In = 0,
    /// 1.
    Out = 1,
    /// 2.
    Err = 2,
}

/// Makes a standard stream another name of `source`.
pub fn redirect(standard: Standard, source: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: no pointers; the target is 0, 1 or 2.
    check(unsafe { libc::dup2(source.as_raw_fd(), standard as RawFd) }).map(|_| ())
}

/// A pipe, close-on-exec: reading end, writing end.
pub fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the pointer is to two integers; both descriptors are new and ours.
    unsafe {
        check(libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC))?;
        Ok((OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])))
    }
}

/// Whether the file system of this path is mounted read-only.
pub fn is_read_only(path: &CStr) -> io::Result<bool> {
    let mut info = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: the path ends with NUL, and the kernel fills a structure of exactly this type.
    check(unsafe { libc::statvfs(path.as_ptr(), info.as_mut_ptr()) })?;
    // SAFETY: the structure is plain numbers, for which zeros are valid, and the call succeeded.
    Ok(unsafe { info.assume_init() }.f_flag & libc::ST_RDONLY != 0)
}

/// The effective capabilities of the calling thread, as bits.
pub fn effective_capabilities() -> io::Result<u64> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Default, Clone, Copy)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    // _LINUX_CAPABILITY_VERSION_3
    let mut header = Header { version: 0x2008_0522, pid: 0 };
    let mut data = [Data::default(); 2];
    // SAFETY: version 3 writes two data structures of this layout (linux/capability.h).
    let result = unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(u64::from(data[0].effective) | (u64::from(data[1].effective) << 32))
}

/// Waits until standard input has something to read; `false` when the time is over.
pub fn wait_for_input(patience: Duration) -> io::Result<bool> {
    let mut wanted = libc::pollfd { fd: libc::STDIN_FILENO, events: libc::POLLIN, revents: 0 };
    let milliseconds = libc::c_int::try_from(patience.as_millis()).unwrap_or(libc::c_int::MAX);
    // SAFETY: the pointer is to one structure.
    let ready = check(unsafe { libc::poll(&raw mut wanted, 1, milliseconds) })?;
    Ok(ready > 0)
}

/// Forgets what was typed on the terminal of standard input and not read.
pub fn forget_typed() {
    // SAFETY: no pointers. It fails on what is no terminal, where nothing is typed.
    unsafe { libc::tcflush(libc::STDIN_FILENO, libc::TCIFLUSH) };
}

/// Nanoseconds since boot, suspend included.
pub fn boot_clock() -> io::Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local.
    check(unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &raw mut time) })?;
    Ok(time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned())
}

/// Random bytes of the kernel.
///
/// By syscall(2): the standard library refers to `getrandom` weakly, and with link-time optimisation against a static
/// musl the symbol then stays null.
pub fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut bytes = [0u8; N];
    // SAFETY: pointer and length describe `bytes`; up to 256 bytes are given whole.
    let n = unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), N, 0) };
    if usize::try_from(n) == Ok(N) { Ok(bytes) } else { Err(io::Error::last_os_error()) }
}

/// Whether a setuid or setgid bit or capabilities of the program's file gave it rights that its caller does not have
/// (`AT_SECURE`, getauxval(3)). Root gains nothing by them, and some security modules set the flag for root too.
pub fn has_borrowed_rights() -> bool {
    // SAFETY: no pointers, neither call can fail.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 && libc::getuid() != 0 }
}

/// How many descriptors this process may have: the soft limit (getrlimit(2)).
pub fn descriptor_limit() -> io::Result<u64> {
    Ok(descriptor_limits()?.rlim_cur)
}

/// Raises the soft limit to the hard one.
pub fn raise_descriptor_limit() -> io::Result<()> {
    let limits = descriptor_limits()?;
    let raised = libc::rlimit { rlim_cur: limits.rlim_max, ..limits };
    // SAFETY: the kernel reads a whole `rlimit`.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const raised) })?;
    Ok(())
}

fn descriptor_limits() -> io::Result<libc::rlimit> {
    let mut limits = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes a whole `rlimit`.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) })?;
    Ok(limits)
}

/// Effective user and group.
pub fn user_ids() -> (u32, u32) {
    // SAFETY: no pointers, cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}
