//! An emulated machine: another kernel, this machine's root read-only under a layer in memory, no network except what
//! it makes itself. Nothing written there lasts.

use crate::error::Error;
use crate::initrd::Initrd;
use crate::kernel_image::KernelImage;
use crate::program::{find, output};
use crate::setup;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The modules that the first process needs to mount this machine's root.
const MODULES: [&str; 4] = ["virtio_pci", "9pnet_virtio", "9p", "overlay"];
const FOLDERS: [&str; 9] = ["bin", "modules", "proc", "sys", "dev", "host", "above", "root", "run"];
const INIT: &str = include_str!("init.sh");
/// The variable that names the file for the reasons of skipped tests; in the machine it names a serial port.
pub(crate) const SKIPS: &str = "ZUBI_SKIPS";
/// Emulated processors take some ten times longer; waiting for a packet slows down less.
const PATIENCE: (&str, &str) = ("ZUBI_PATIENCE", "4");
const PREFIX: &str = "zubi-machine-";

/// A machine's resources.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Its memory, in MiB.
    pub(crate) memory: u32,
    /// Its time limit.
    pub(crate) limit: Duration,
}

impl Default for Size {
    fn default() -> Self {
        Size { memory: 2048, limit: Duration::from_secs(900) }
    }
}

/// Debian packages that the emulator needs, each with one of its programs.
pub(crate) const PACKAGES: [(&str, &str); 4] = [
    ("qemu-system-x86", "qemu-system-x86_64"),
    ("kmod", "depmod"),
    ("busybox-static", "busybox"),
    ("util-linux", "setpriv"),
];

/// A machine that is ready to start.
#[derive(Debug)]
pub(crate) struct Machine {
    kernel: KernelImage,
    size: Size,
    /// The folder for this run's files; it goes with the value.
    folder: PathBuf,
}

impl Machine {
    /// A machine with this kernel.
    pub(crate) fn new(kernel: KernelImage, size: Size) -> Result<Machine, Error> {
        if !setup::is_root() {
            return Err(Error::NeedsRoot);
        }
        sweep();
        let folder = std::env::temp_dir().join(format!("{PREFIX}{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|source| Error::File { path: folder.clone(), source })?;
        Ok(Machine { kernel, size, folder })
    }

    /// Its kernel's release, as `uname -r` prints it.
    pub(crate) fn release(&self) -> &str {
        &self.kernel.release
    }

    /// Runs a command, passes each line that it prints to `line`, and returns its exit code.
    pub(crate) fn run<S: AsRef<OsStr>>(
        &self,
        command: &[S],
        mut line: impl FnMut(&[u8]) -> io::Result<()> + Send,
    ) -> Result<u8, Error> {
        let in_file = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::File { path, source }
        };
        let (initrd, code) = (self.folder.join("initrd"), self.folder.join("code"));
        self.write_initrd(&initrd, &second(command)).map_err(in_file(&initrd))?;
        let mut qemu = self.qemu(&initrd, [&code, &self.skips()]);
        let failed = |source| Error::Start { command: "qemu-system-x86_64".into(), source };
        let mut qemu = Running(qemu.spawn().map_err(failed)?);
        let stdout = qemu.0.stdout.take();
        let limit = self.size.limit;
        let since = Instant::now();
        std::thread::scope(|scope| {
            // Reading ends with the emulator.
            let reader = scope.spawn(|| stdout.map_or(Ok(()), |out| each_line(BufReader::new(out), &mut line)));
            while qemu.0.try_wait().map_err(failed)?.is_none() && since.elapsed() < limit {
                std::thread::sleep(Duration::from_millis(50));
            }
            qemu.end();
            reader.join().unwrap_or(Ok(())).map_err(failed)
        })?;
        let told = fs::read_to_string(&code).unwrap_or_default();
        match told.trim().parse() {
            Ok(code) => Ok(code),
            Err(_) if since.elapsed() >= limit => Err(Error::TooLong(limit.as_secs())),
            Err(_) => Err(Error::NoEnd(self.kernel.release.clone())),
        }
    }

    /// What its tests wrote about being skipped, one line each.
    pub(crate) fn skipped(&self) -> Result<Vec<String>, Error> {
        let path = self.skips();
        let text = fs::read_to_string(&path).map_err(|source| Error::File { path, source })?;
        Ok(text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
    }

    fn skips(&self) -> PathBuf {
        self.folder.join("skips")
    }

    fn write_initrd(&self, path: &Path, second: &str) -> io::Result<()> {
        let mut initrd = Initrd::new(io::BufWriter::new(File::create(path)?));
        for folder in FOLDERS {
            initrd.folder(folder)?;
        }
        let busybox = find("busybox").ok_or(io::ErrorKind::NotFound)?;
        initrd.program("bin/busybox", &fs::read(&busybox)?)?;
        let mut order = Vec::new();
        for file in self.kernel.load_order(&MODULES).map_err(io::Error::other)? {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().replace(".ko", "");
            let content = match file.extension() {
                Some(extension) if extension == "xz" => {
                    output(Command::new(&busybox).arg("xzcat").arg(&file)).map_err(io::Error::other)?
                }
                _ => fs::read(&file)?,
            };
            initrd.file(&format!("modules/{name}"), &content)?;
            order.push(name + "\n");
        }
        initrd.file("modules/order", order.concat().as_bytes())?;
        initrd.file("folder", self.kernel.all_modules().as_os_str().as_encoded_bytes())?;
        initrd.file("second", second.as_bytes())?;
        initrd.program("init", INIT.as_bytes())?;
        initrd.finish().map(drop)
    }

    /// The emulator. It does not outlive this process.
    fn qemu(&self, initrd: &Path, ports: [&Path; 2]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "qemu-system-x86_64"]);
        // Software emulation: nested virtualization is missing on most machines and faulty on some.
        command.args(["-machine", "q35,accel=tcg", "-cpu", "max", "-smp", "2"]);
        command.args(["-m", &self.size.memory.to_string(), "-display", "none", "-no-reboot", "-nodefaults"]);
        command.args(["-serial", "stdio"]);
        for port in ports {
            command.arg("-serial").arg(format!("file:{}", port.display()));
        }
        command.arg("-kernel").arg(self.kernel.vmlinuz()).arg("-initrd").arg(initrd);
        command.args(["-append", "console=ttyS0 quiet loglevel=3 panic=-1 init=/init"]);
        command.args(["-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap"]);
        command.args(["-device", "virtio-9p-pci,fsdev=root,mount_tag=host"]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // The next run sweeps what stays.
        drop(fs::remove_dir_all(&self.folder));
    }
}

/// An emulator that ends with this value.
struct Running(Child);

impl Running {
    fn end(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// The script that runs the command on the machine, in the same folder and with the same PATH as here.
fn second<S: AsRef<OsStr>>(command: &[S]) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let folder = std::env::current_dir().unwrap_or_default();
    let words: Vec<String> = command.iter().map(|word| quoted(&word.as_ref().to_string_lossy())).collect();
    format!(
        "export PATH={} HOME=/root TERM=dumb {SKIPS}=/dev/ttyS2 {}={}\n\
         ip link set lo up\n\
         cd {} || cd /\n\
         {} </dev/null\n\
         echo $? >/dev/ttyS1\n\
         /bin/busybox poweroff -f\n",
        quoted(&path),
        PATIENCE.0,
        PATIENCE.1,
        quoted(&folder.to_string_lossy()),
        words.join(" "),
    )
}

/// A word quoted for a shell.
pub(crate) fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A serial line adds carriage returns; the kernel's last message is not part of the command's output.
fn each_line(mut from: impl BufRead, line: &mut impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut bytes = Vec::new();
    while from.read_until(b'\n', &mut bytes)? > 0 {
        bytes.retain(|byte| *byte != b'\r');
        if !bytes.ends_with(b"] reboot: Power down\n") {
            line(&bytes)?;
        }
        bytes.clear();
    }
    Ok(())
}

/// Removes the folders of runs that were killed.
fn sweep() {
    for entry in fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(run) = name.strip_prefix(PREFIX) else { continue };
        if !Path::new("/proc").join(run).exists() {
            // A folder that cannot be removed does no harm.
            drop(fs::remove_dir_all(entry.path()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn words_reach_the_machine_as_they_are() {
        assert!(second(&["echo", "it's $HOME"]).contains("\n'echo' 'it'\\''s $HOME' </dev/null\n"));
    }

    #[test]
    fn lines_lose_their_carriage_returns_and_the_kernel_s_last_word() {
        let mut seen = Vec::new();
        let mut keep = |line: &[u8]| seen.write_all(line);
        each_line(&b"one\r\n[   57.79] reboot: Power down\r\ntwo"[..], &mut keep).unwrap();
        assert_eq!(seen, b"one\ntwo");
    }
}
