//! A further host for the same test.

use std::fs::File;
use std::io::{Read, Write};
use std::panic::{self, AssertUnwindSafe};
use zubi_kernel::{lab, sys};

/// Runs `work` on a fresh host of its own, in a process of its own, and gives what it gave. It must start from a
/// process with one thread.
///
/// # Panics
/// When `work` does.
pub fn on_another_host(work: impl FnOnce() -> String) -> String {
    let (read, write) = sys::pipe().expect("pipe");
    match sys::fork().expect("fork a host") {
        sys::Fork::Child => {
            drop(read);
            lab::become_fresh_host().expect("a fresh host");
            let Ok(text) = panic::catch_unwind(AssertUnwindSafe(work)) else { sys::exit_now(101) };
            File::from(write).write_all(text.as_bytes()).expect("tell the result");
            sys::exit_now(0);
        }
        sys::Fork::Parent(pid) => {
            drop(write);
            let mut text = String::new();
            File::from(read).read_to_string(&mut text).expect("hear the result");
            loop {
                match sys::reap_child(pid).expect("wait for the other host") {
                    Some(0) => return text,
                    Some(code) => panic!("the other host ended with code {code}"),
                    None => std::thread::sleep(std::time::Duration::from_millis(1)),
                }
            }
        }
    }
}
