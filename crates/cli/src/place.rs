//! The place of a program that others call: what stands there, and how zubi's link comes and goes.
//!
//! # How it works
//!
//! What stands in the place of a link is kept beside it: `bridge` as `bridge.zubi-saved`. The two files show what is
//! left to do, so there is no record to lose. Each change is atomic, and after each the place holds the old program or
//! zubi. A command that was killed is finished by the same command, or undone by the other one.
//!
//! # Limits
//!
//! A package manager does not know of the link: an upgrade of the package puts its program back over it. The saved
//! program is then older than the one in place, and both commands ask the user which one to keep.

use serde_json::{Value, json};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use zubi_engine::Error;
use zubi_wire::shell_word;

/// What is appended to the name of a program that zubi replaced.
const SAVED: &str = ".zubi-saved";
/// What is appended to the name of a link that is not in its place yet.
const NEW: &str = ".zubi-new";

/// What a command is to do with a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Install,
    Uninstall,
}

/// The program that links lead to.
#[derive(Debug)]
pub(crate) struct Installation {
    pub(crate) program: PathBuf,
    id: Id,
}

/// A file, whatever its name: device and inode.
type Id = (u64, u64);

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Nothing,
    /// A link to a zubi.
    Link {
        to: PathBuf,
    },
    /// The running program's own file.
    Zubi,
    /// Another program, or a link to one.
    Program {
        id: Id,
        what: String,
    },
    /// Something that cannot be a program.
    Other {
        what: &'static str,
    },
}

impl Installation {
    /// The running program's own.
    pub(crate) fn of_this_program() -> Result<Installation, Error> {
        let program = std::env::current_exe().map_err(in_file(Path::new("/proc/self/exe")))?;
        Installation::of(program)
    }

    fn of(program: PathBuf) -> Result<Installation, Error> {
        // A program that was replaced while it runs has no path any more.
        let metadata = fs::metadata(&program).map_err(|_| Error::NoFile {
            what: format!("the file of this program, {},", program.display()),
            next: "start zubi again from where it is now",
        })?;
        Ok(Installation { id: id(&metadata), program })
    }

    /// Looks at a path.
    pub(crate) fn look(&self, path: &Path) -> Result<Found, Error> {
        let metadata = match path.symlink_metadata() {
            Ok(metadata) => metadata,
            Err(e) if is_absence(&e) => return Ok(Found::Nothing),
            Err(e) => return Err(in_file(path)(e)),
        };
        let kind = metadata.file_type();
        Ok(if kind.is_symlink() {
            let to = fs::read_link(path).map_err(in_file(path))?;
            // A link to a zubi that has moved since is ours too.
            let ours = to.file_name().is_some_and(|name| name == "zubi")
                || fs::metadata(path).is_ok_and(|target| id(&target) == self.id);
            if ours {
                Found::Link { to }
            } else {
                Found::Program { id: id(&metadata), what: format!("a link to {}", to.display()) }
            }
        } else if kind.is_file() && id(&metadata) == self.id {
            Found::Zubi
        } else if kind.is_file() {
            Found::Program { id: id(&metadata), what: format!("a program of {} bytes", metadata.len()) }
        } else if kind.is_dir() {
            Found::Other { what: "a folder" }
        } else if kind.is_socket() || kind.is_fifo() {
            Found::Other { what: "a socket or pipe" }
        } else {
            Found::Other { what: "a device" }
        })
    }

    /// Decides on one place.
    pub(crate) fn step(&self, place: &Path, wish: Wish) -> Result<Step, Error> {
        let (saved, new) = (beside(place, SAVED), beside(place, NEW));
        let mut changes = Vec::new();
        match self.look(&new)? {
            Found::Nothing => {}
            Found::Link { .. } => changes.push(Change::Remove(new.clone())),
            _ => return Err(in_the_way(&new, "is not zubi's", "remove it, or give it another name")),
        }
        let kept = match self.look(&saved)? {
            Found::Nothing => None,
            Found::Program { id, .. } => Some(id),
            _ => {
                return Err(in_the_way(
                    &saved,
                    "is not a program that zubi kept",
                    "remove it, or give it another name",
                ));
            }
        };
        let both = || {
            let by = format!("is not zubi's, and {} was kept from an earlier time", saved.display());
            Err(in_the_way(place, &by, "remove the older of the two, and give the other the name of the first"))
        };
        let keep = || Change::Keep { place: place.to_owned(), saved: saved.clone() };
        let link = || Change::Link { program: self.program.clone(), new: new.clone(), place: place.to_owned() };
        let put_back = || Change::PutBack { saved: saved.clone(), place: place.to_owned() };
        let state = match (wish, self.look(place)?, kept) {
            (Wish::Install, Found::Other { what }, _) => {
                return Err(in_the_way(place, &format!("is {what}"), "remove it, or name another folder"));
            }
            (Wish::Install, Found::Link { to }, _) if to == self.program => State::There,
            (Wish::Install, Found::Zubi, None) => State::There,
            (Wish::Install, Found::Link { to }, _) => {
                changes.push(link());
                State::Renewed { before: to }
            }
            (Wish::Install, Found::Nothing, _) => {
                changes.push(link());
                State::Linked
            }
            (Wish::Install, Found::Program { what, .. }, None) => {
                changes.extend([keep(), link()]);
                State::Replaced { what }
            }
            // A command that was killed has kept the program, and not yet replaced it.
            (Wish::Install, Found::Program { id, what }, Some(kept)) if id == kept => {
                changes.push(link());
                State::Replaced { what }
            }
            (Wish::Uninstall, Found::Program { id, .. }, Some(kept)) if id == kept => {
                changes.push(Change::Remove(saved.clone()));
                State::PutBack
            }
            (_, Found::Program { .. } | Found::Zubi | Found::Other { .. }, Some(_)) => return both(),
            (Wish::Uninstall, Found::Link { .. } | Found::Nothing, Some(_)) => {
                changes.push(put_back());
                State::PutBack
            }
            (Wish::Uninstall, Found::Link { .. }, None) => {
                changes.push(Change::Remove(place.to_owned()));
                State::Removed
            }
            (Wish::Uninstall, Found::Nothing, None) => State::Absent,
            (Wish::Uninstall, Found::Program { .. } | Found::Zubi | Found::Other { .. }, None) => State::NotOurs,
        };
        Ok(Step { place: place.to_owned(), saved, changes, state })
    }
}

/// What a command does at one place.
#[derive(Debug)]
pub(crate) struct Step {
    place: PathBuf,
    saved: PathBuf,
    pub(crate) changes: Vec<Change>,
    state: State,
}

/// A place after the command.
#[derive(Debug, PartialEq, Eq)]
enum State {
    Linked,
    Replaced { what: String },
    Renewed { before: PathBuf },
    There,
    PutBack,
    Removed,
    NotOurs,
    Absent,
}

impl Step {
    /// The commands that do the same; of each, whether its work is done already.
    pub(crate) fn commands(&self, installation: &Installation) -> Vec<(String, bool)> {
        let mut commands: Vec<_> = self.changes.iter().map(|change| (change.to_string(), false)).collect();
        if self.state == State::There && commands.is_empty() {
            commands.push((typed_link(&installation.program, &self.place), true));
        }
        commands
    }

    /// The answer in JSON.
    pub(crate) fn json(&self) -> Value {
        let state = match &self.state {
            State::Linked => "linked",
            State::Replaced { .. } => "replaced",
            State::Renewed { .. } => "renewed",
            State::There => "there",
            State::PutBack => "put-back",
            State::Removed => "removed",
            State::NotOurs => "not-ours",
            State::Absent => "absent",
        };
        let mut json = json!({ "path": self.place.display().to_string(), "state": state });
        if let State::Replaced { .. } = self.state {
            json["saved"] = self.saved.display().to_string().into();
        }
        json
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.place.display())?;
        match &self.state {
            State::Linked => write!(f, "linked"),
            State::Replaced { what } => write!(f, "linked; {what} was there, kept as {}", self.saved.display()),
            State::Renewed { before } => write!(f, "linked anew; it led to {}", before.display()),
            State::There => write!(f, "is zubi already"),
            State::PutBack => write!(f, "the program from before is back"),
            State::Removed => write!(f, "removed"),
            State::NotOurs => write!(f, "is not zubi's; left as it is"),
            State::Absent => write!(f, "is not there"),
        }
    }
}

/// One change. It is done or not, never half.
#[derive(Debug)]
pub(crate) enum Change {
    /// Gives the program in a place a second name.
    Keep {
        place: PathBuf,
        saved: PathBuf,
    },
    /// Puts a link in a place, over what is there.
    Link {
        program: PathBuf,
        new: PathBuf,
        place: PathBuf,
    },
    /// Gives a kept program its own name again.
    PutBack {
        saved: PathBuf,
        place: PathBuf,
    },
    Remove(PathBuf),
}

impl Change {
    /// Makes it.
    pub(crate) fn make(&self) -> Result<(), Error> {
        match self {
            Change::Keep { place, saved } => match fs::hard_link(place, saved) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
                    // Some file systems have no hard links, and other users' files may not be linked to
                    // (fs.protected_hardlinks). The place is empty then until the next change.
                    fs::rename(place, saved).map_err(in_file(place))
                }
                done => done.map_err(in_file(saved)),
            },
            Change::Link { program, new, place } => {
                symlink(program, new).map_err(in_file(new))?;
                fs::rename(new, place).map_err(in_file(place))
            }
            Change::PutBack { saved, place } => fs::rename(saved, place).map_err(in_file(place)),
            Change::Remove(path) => fs::remove_file(path).map_err(in_file(path)),
        }
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Change::Keep { place, saved } => write!(f, "ln {} {}", word(place), word(saved)),
            Change::Link { program, place, .. } => f.write_str(&typed_link(program, place)),
            Change::PutBack { saved, place } => write!(f, "mv {} {}", word(saved), word(place)),
            Change::Remove(path) => write!(f, "rm {}", word(path)),
        }
    }
}

fn typed_link(program: &Path, place: &Path) -> String {
    format!("ln -sf {} {}", word(program), word(place))
}

fn word(path: &Path) -> String {
    shell_word(&path.to_string_lossy())
}

/// The folder of a place.
pub(crate) fn folder_of(place: &Path) -> &Path {
    match place.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Where the program of a place is kept.
pub(crate) fn saved_beside(place: &Path) -> PathBuf {
    beside(place, SAVED)
}

/// The path with this appended to its name.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

fn id(metadata: &fs::Metadata) -> Id {
    (metadata.dev(), metadata.ino())
}

/// A helper folder may be missing, or be a file.
fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn in_the_way(path: &Path, by: &str, next: &str) -> Error {
    Error::FileInTheWay { path: path.to_owned(), by: by.to_owned(), next: next.to_owned() }
}

/// Names the file in an error of the system.
pub(crate) fn in_file(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
    |source| Error::writing("links of zubi", path, source)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU32, Ordering};
    use zubi_engine::Class;

    const OLD: &str = "#!/bin/sh\necho the reference\n";

    /// A folder with a zubi and a folder of plug-ins. It goes with the value.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let folder = std::env::temp_dir().join(format!("zubi-place-{}-{number}", std::process::id()));
            fs::create_dir_all(folder.join("cni")).unwrap();
            fs::write(folder.join("zubi"), "a zubi").unwrap();
            Scratch(folder)
        }

        fn installation(&self) -> Installation {
            Installation::of(self.0.join("zubi")).unwrap()
        }

        fn place(&self) -> PathBuf {
            self.0.join("cni/bridge")
        }

        fn put(&self, name: &str, text: &str) {
            fs::write(self.0.join("cni").join(name), text).unwrap();
        }

        fn step(&self, wish: Wish) -> Result<Step, Error> {
            self.installation().step(&self.place(), wish)
        }

        fn perform(&self, wish: Wish) -> State {
            let step = self.step(wish).unwrap();
            step.changes.iter().for_each(|change| change.make().unwrap());
            step.state
        }

        /// Every file with what it holds, links with where they lead.
        fn files(&self) -> BTreeMap<String, String> {
            let all = fs::read_dir(self.0.join("cni")).unwrap().map(|entry| entry.unwrap().path());
            let content = |path: &Path| match fs::read_link(path) {
                Ok(to) => format!("-> {}", to.strip_prefix(&self.0).unwrap_or(&to).display()),
                Err(_) => fs::read_to_string(path).unwrap_or_else(|_| "folder".into()),
            };
            all.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), content(&path))).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn files(all: &[(&str, &str)]) -> BTreeMap<String, String> {
        all.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    fn installed() -> BTreeMap<String, String> {
        files(&[("bridge", "-> zubi"), ("bridge.zubi-saved", OLD)])
    }

    #[test]
    fn a_replaced_program_comes_back_as_the_same_file() {
        let scratch = Scratch::new();
        scratch.put("bridge", OLD);
        let before = id(&scratch.place().symlink_metadata().unwrap());
        assert!(matches!(scratch.perform(Wish::Install), State::Replaced { .. }));
        assert_eq!(scratch.files(), installed());
        assert_eq!(scratch.perform(Wish::Install), State::There);
        assert_eq!(scratch.perform(Wish::Uninstall), State::PutBack);
        assert_eq!(scratch.files(), files(&[("bridge", OLD)]));
        assert_eq!(id(&scratch.place().symlink_metadata().unwrap()), before);
        assert_eq!(scratch.perform(Wish::Uninstall), State::NotOurs);
    }

    #[test]
    fn a_replaced_link_comes_back_too_also_one_that_leads_nowhere() {
        let scratch = Scratch::new();
        symlink("/nowhere/reference", scratch.place()).unwrap();
        assert_eq!(scratch.perform(Wish::Install), State::Replaced { what: "a link to /nowhere/reference".into() });
        assert_eq!(scratch.perform(Wish::Uninstall), State::PutBack);
        assert_eq!(scratch.files(), files(&[("bridge", "-> /nowhere/reference")]));
    }

    #[test]
    fn where_nothing_was_there_is_nothing_afterwards() {
        let scratch = Scratch::new();
        assert_eq!(scratch.perform(Wish::Install), State::Linked);
        assert_eq!(scratch.perform(Wish::Uninstall), State::Removed);
        assert_eq!(scratch.perform(Wish::Uninstall), State::Absent);
        assert_eq!(scratch.files(), files(&[]));
    }

    /// The states in which a killed install leaves the folder, one behind each of its system calls.
    fn killed_at_each_step() -> impl Iterator<Item = Scratch> {
        (0..4).map(|steps| {
            let scratch = Scratch::new();
            scratch.put("bridge", OLD);
            let (saved, new) = (beside(&scratch.place(), SAVED), beside(&scratch.place(), NEW));
            if steps >= 1 {
                fs::hard_link(scratch.place(), saved).unwrap();
            }
            if steps >= 2 {
                symlink(scratch.0.join("zubi"), &new).unwrap();
            }
            if steps >= 3 {
                fs::rename(new, scratch.place()).unwrap();
            }
            scratch
        })
    }

    #[test]
    fn a_killed_install_is_finished_by_the_next_one() {
        for scratch in killed_at_each_step() {
            scratch.perform(Wish::Install);
            assert_eq!(scratch.files(), installed());
        }
    }

    #[test]
    fn a_killed_install_is_undone_by_uninstall() {
        for scratch in killed_at_each_step() {
            scratch.perform(Wish::Uninstall);
            assert_eq!(scratch.files(), files(&[("bridge", OLD)]));
        }
    }

    #[test]
    fn without_hard_links_a_killed_install_is_finished_or_undone_too() {
        for (wish, after) in [(Wish::Install, installed()), (Wish::Uninstall, files(&[("bridge", OLD)]))] {
            let scratch = Scratch::new();
            scratch.put("bridge.zubi-saved", OLD);
            scratch.perform(wish);
            assert_eq!(scratch.files(), after);
        }
    }

    #[test]
    fn a_link_to_a_zubi_that_has_moved_is_renewed_and_not_kept() {
        let scratch = Scratch::new();
        symlink("/usr/local/bin/zubi", scratch.place()).unwrap();
        assert_eq!(scratch.perform(Wish::Install), State::Renewed { before: "/usr/local/bin/zubi".into() });
        assert_eq!(scratch.files(), files(&[("bridge", "-> zubi")]));
    }

    #[test]
    fn the_program_itself_is_never_replaced_by_a_link_to_itself() {
        let scratch = Scratch::new();
        let own = scratch.0.join("zubi");
        for (wish, state) in [(Wish::Install, State::There), (Wish::Uninstall, State::NotOurs)] {
            let step = scratch.installation().step(&own, wish).unwrap();
            assert_eq!(step.state, state);
            assert!(step.changes.is_empty());
        }
    }

    #[test]
    fn what_is_in_the_way_is_refused_and_stays() {
        for (present, wish) in [
            (&[("bridge", OLD), ("bridge.zubi-saved", "older")][..], Wish::Install),
            (&[("bridge", OLD), ("bridge.zubi-saved", "older")], Wish::Uninstall),
            (&[("bridge", OLD), ("bridge.zubi-new", "whose?")], Wish::Install),
        ] {
            let scratch = Scratch::new();
            for (name, text) in present {
                scratch.put(name, text);
            }
            let error = scratch.step(wish).unwrap_err();
            assert_eq!(error.class(), Class::Conflict, "{error}");
            assert_eq!(scratch.files(), files(present));
        }
        let scratch = Scratch::new();
        fs::create_dir(scratch.place()).unwrap();
        assert_eq!(scratch.step(Wish::Install).unwrap_err().class(), Class::Conflict);
        assert_eq!(scratch.perform(Wish::Uninstall), State::NotOurs);
    }

    #[test]
    fn the_commands_do_the_same_in_a_shell() {
        let (by_zubi, by_shell) = (Scratch::new(), Scratch::new());
        for wish in [Wish::Install, Wish::Uninstall] {
            by_zubi.put("bridge", OLD);
            by_shell.put("bridge", OLD);
            if wish == Wish::Uninstall {
                by_zubi.perform(Wish::Install);
                by_shell.perform(Wish::Install);
            }
            let step = by_shell.step(wish).unwrap();
            for (command, _) in step.commands(&by_shell.installation()) {
                assert!(std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success());
            }
            by_zubi.perform(wish);
            assert_eq!(by_zubi.files(), by_shell.files());
            by_zubi.perform(Wish::Uninstall);
            by_shell.perform(Wish::Uninstall);
        }
    }

    #[test]
    fn rights_that_are_missing_have_their_class() {
        let denied = io::Error::from_raw_os_error(13);
        assert_eq!(in_file(Path::new("/opt/cni/bin/bridge"))(denied).class(), Class::Privilege);
    }
}
