//! A further host for the same test.

use std::fs::File;
use std::io::{Read, Write};
use std::panic::{self, AssertUnwindSafe};
use zubi_kernel::{lab, sys};

/// The exit code of a process that could not become a host.
const NO_HOST: i32 = 102;

/// Runs `work` in a new process on a fresh host and returns its result. The calling process must have one thread.
///
/// # Panics
/// When `work` panics, or when no fresh host can be made.
pub fn on_another_host(work: impl FnOnce() -> String) -> String {
    try_another_host(work).unwrap_or_else(|why| panic!("no fresh host can be made: {why}"))
}

/// Like [`on_another_host`]; the error says why no fresh host can be made.
pub(crate) fn try_another_host(work: impl FnOnce() -> String) -> Result<String, String> {
    let (read, write) = sys::pipe().expect("pipe");
    match sys::fork().expect("fork a host") {
        sys::Fork::Child => {
            drop(read);
            let (code, text) = match lab::become_fresh_host() {
                Err(why) => (NO_HOST, why.to_string()),
                Ok(()) => panic::catch_unwind(AssertUnwindSafe(work)).map_or((101, String::new()), |text| (0, text)),
            };
            let told = File::from(write).write_all(text.as_bytes());
            sys::exit_now(told.map_or(101, |()| code));
        }
        sys::Fork::Parent(pid) => {
            drop(write);
            let mut text = String::new();
            File::from(read).read_to_string(&mut text).expect("read the result");
            loop {
                match sys::reap_child(pid).expect("wait for the other host") {
                    Some(0) => return Ok(text),
                    Some(NO_HOST) => return Err(text),
                    Some(code) => panic!("the other host ended with code {code}"),
                    None => std::thread::sleep(std::time::Duration::from_millis(1)),
                }
            }
        }
    }
}
