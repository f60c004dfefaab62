//! A process with its own host that answers requests.
//!
//! # How it works
//! Everything under comparison is set up at the same time, each on its own host; the bench asks them in turns, so that
//! noise affects all alike. A question and its answer are one line of JSON each, in a pipe. A worker lives in the
//! process namespace of the run and goes with it.

use crate::error::Error;
use crate::sample::Sample;
use nix::sys::prctl::set_child_subreaper;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::marker::PhantomData;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::time::Duration;
use zubi_kernel::{lab, sys};

const KILL: i32 = 9;

/// Answers questions `Q` with `A`.
pub(crate) struct Worker<Q, A> {
    pid: u32,
    questions: File,
    answers: BufReader<File>,
    of: PhantomData<(Q, A)>,
}

impl<Q: Serialize + DeserializeOwned, A: Serialize + DeserializeOwned> Worker<Q, A> {
    /// Forks a process on a host of its own, where `make` builds the value that answers. The calling process must have
    /// one thread.
    pub(crate) fn start<H>(make: impl FnOnce() -> Result<H, Error>) -> Result<Self, Error>
    where
        H: FnMut(Q) -> Result<A, Error>,
    {
        let pipe = || sys::pipe().map_err(Error::system("pipe"));
        let ((questions_out, questions_in), (answers_out, answers_in)) = (pipe()?, pipe()?);
        match sys::fork().map_err(Error::system("fork a worker"))? {
            sys::Fork::Parent(pid) => {
                let (questions, answers) = (questions_in.into(), BufReader::new(answers_out.into()));
                let mut worker = Worker { pid, questions, answers, of: PhantomData };
                worker.line::<()>()?;
                Ok(worker)
            }
            sys::Fork::Child => {
                drop((questions_in, answers_out));
                let (from, to) = (BufReader::new(File::from(questions_out)), File::from(answers_in));
                let lived = panic::catch_unwind(AssertUnwindSafe(|| live(from, to, make)));
                sys::exit_now(i32::from(!lived.is_ok_and(|lived| lived.is_ok())));
            }
        }
    }

    /// Asks without waiting for the answer.
    pub(crate) fn send(&mut self, question: &Q) -> Result<(), Error> {
        let mut line = serde_json::to_string(question).map_err(Error::json("question"))?;
        line.push('\n');
        self.questions.write_all(line.as_bytes()).map_err(Error::system("question to a worker"))
    }

    /// The answer to the oldest open question.
    pub(crate) fn receive(&mut self) -> Result<A, Error> {
        self.line()
    }

    /// Asks and waits for the answer.
    pub(crate) fn ask(&mut self, question: &Q) -> Result<A, Error> {
        self.send(question)?;
        self.receive()
    }

    /// Times each task once a round, in turns.
    pub(crate) fn samples<const N: usize>(&mut self, tasks: [Q; N], rounds: usize) -> Result<[(Q, Sample); N], Error>
    where
        A: Into<Option<Duration>>,
    {
        let mut samples = tasks.map(|task| (task, Sample::new()));
        for _ in 0..rounds {
            for (task, sample) in &mut samples {
                sample.extend(self.ask(task)?.into());
            }
        }
        Ok(samples)
    }

    fn line<T: DeserializeOwned>(&mut self) -> Result<T, Error> {
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(Error::system("answer of a worker"))?;
        if line.is_empty() {
            return Err(Error::Worker("a worker died, see above".into()));
        }
        let answer: Result<T, String> = serde_json::from_str(&line).map_err(Error::json("answer of a worker"))?;
        answer.map_err(Error::Worker)
    }
}

impl<Q, A> Drop for Worker<Q, A> {
    fn drop(&mut self) {
        // On failure the worker is gone already, or goes with the host.
        if sys::kill(self.pid, KILL).is_ok() {
            while matches!(sys::reap_child(self.pid), Ok(None)) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

/// The worker's loop: `Ok` or an error for `make`, then one answer for each question.
fn live<Q, A, H>(from: BufReader<File>, mut to: File, make: impl FnOnce() -> Result<H, Error>) -> Result<(), Error>
where
    Q: DeserializeOwned,
    A: Serialize,
    H: FnMut(Q) -> Result<A, Error>,
{
    let ready = lab::become_private_host()
        .map_err(Error::from)
        // A separate /proc, as each machine has one. The kernel keeps the settings of all namespaces that share a /proc
        // under the same names: to find one among those of eight hosts of 900 took 1.1 ms.
        .and_then(|()| {
            sys::mount(Path::new("proc"), Path::new("/proc"), Some("proc"), 0).map_err(Error::system("mount /proc"))
        })
        // Detached children of a command become ours, so that we can wait for them.
        .and_then(|()| set_child_subreaper(true).map_err(|e| Error::system("subreaper")(e.into())))
        .and_then(|()| make());
    let (mut handler, told) = match ready {
        Ok(handler) => (Some(handler), Ok(())),
        Err(e) => (None, Err(e.to_string())),
    };
    answer(&mut to, &told)?;
    let Some(handler) = &mut handler else { return Ok(()) };
    for line in from.lines() {
        let line = line.map_err(Error::system("question"))?;
        let question: Q = serde_json::from_str(&line).map_err(Error::json("question"))?;
        answer(&mut to, &handler(question).map_err(|e| e.to_string()))?;
    }
    Ok(())
}

fn answer<T: Serialize>(to: &mut File, answer: &Result<T, String>) -> Result<(), Error> {
    let mut line = serde_json::to_string(answer).map_err(Error::json("answer"))?;
    line.push('\n');
    to.write_all(line.as_bytes()).map_err(Error::system("answer"))
}
