//! A network namespace with a process in it.

use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::Duration;
use zubi_model::NsRef;
use zubi_plan::Place;

/// A sandbox that lives as long as this value.
pub struct Sandbox(Child);

impl Sandbox {
    pub fn new() -> Self {
        let sandbox = Sandbox(Command::new("unshare").args(["-n", "sleep", "600"]).spawn().unwrap());
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        while std::fs::read_link(sandbox.path()).unwrap() == own {
            std::thread::sleep(Duration::from_millis(1));
        }
        sandbox
    }

    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/ns/net", self.0.id()).into()
    }

    pub fn reached_by(&self) -> NsRef {
        NsRef::Path(self.path())
    }

    pub fn place(&self) -> Place {
        Place::Sandbox(self.reached_by())
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}
