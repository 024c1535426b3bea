//! Processes that a test made up.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::sys::process::{Listening, Process, ProcessId, Processes, Signal, SignalError};

/// A process and what belongs to it.
#[derive(Clone, Debug)]
pub struct FakeProcess {
    /// What it is.
    pub process: Process,
    /// Its whole environment.
    pub environment: Vec<(String, String)>,
    /// Its open files.
    pub open_files: Vec<PathBuf>,
    /// What it listens on. A socket is the same file here and there when its path is.
    pub listening: Listening,
}

/// What a signal does.
type OnSignal = dyn Fn(&FakeProcesses, ProcessId, Signal) + Send + Sync;

#[derive(Default)]
struct State {
    processes: Vec<FakeProcess>,
    signals: Vec<(ProcessId, Signal)>,
    on_signal: Option<Arc<OnSignal>>,
}

/// Processes in memory. Clones share them.
#[derive(Clone, Default)]
pub struct FakeProcesses(Arc<Mutex<State>>);

impl FakeProcesses {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while the processes are held")
    }

    /// Starts one.
    pub fn plant(&self, process: FakeProcess) {
        self.state().processes.push(process);
    }

    /// Changes one.
    pub fn change(&self, pid: u32, change: impl FnOnce(&mut FakeProcess)) {
        let mut state = self.state();
        let found = state.processes.iter_mut().find(|each| each.process.id.pid == pid);
        change(found.expect("a process that was planted"));
    }

    /// Ends one.
    pub fn end(&self, pid: u32) {
        self.state().processes.retain(|each| each.process.id.pid != pid);
    }

    /// What every signal from now on does; without it, signals are only remembered.
    pub fn on_signal(&self, act: impl Fn(&FakeProcesses, ProcessId, Signal) + Send + Sync + 'static) {
        self.state().on_signal = Some(Arc::new(act));
    }

    /// The signals that reached somebody.
    pub fn signals(&self) -> Vec<(ProcessId, Signal)> {
        self.state().signals.clone()
    }

    fn with<T>(&self, pid: u32, read: impl FnOnce(&FakeProcess) -> T) -> Option<T> {
        let state = self.state();
        let found = state.processes.iter().find(|each| each.process.id.pid == pid);
        found.map(read)
    }
}

impl Processes for FakeProcesses {
    fn find(&self, name: &str) -> Vec<Process> {
        let state = self.state();
        let all = state.processes.iter().map(|each| &each.process);
        all.filter(|process| process.name == name).cloned().collect()
    }

    fn get(&self, pid: u32) -> Option<Process> {
        self.with(pid, |each| each.process.clone())
    }

    fn environment(&self, pid: u32, names: &[&str]) -> Vec<(String, String)> {
        let all = self
            .with(pid, |each| each.environment.clone())
            .unwrap_or_default();
        let wanted = |pair: &(String, String)| names.contains(&pair.0.as_str());
        all.into_iter().filter(wanted).collect()
    }

    fn open_files(&self, pid: u32) -> Vec<PathBuf> {
        self.with(pid, |each| each.open_files.clone()).unwrap_or_default()
    }

    fn listening(&self, pid: u32) -> Listening {
        self.with(pid, |each| each.listening.clone()).unwrap_or_default()
    }

    fn is_same_file(&self, _: u32, bound: &Path, here: &Path) -> bool {
        bound == here
    }

    fn listener_of(&self, socket: &Path) -> Option<Process> {
        let state = self.state();
        let listens = |each: &&FakeProcess| each.listening.unix.iter().any(|path| path == socket);
        let found = state.processes.iter().filter(listens).map(|each| &each.process);
        found.min_by_key(|process| process.id.pid).cloned()
    }

    fn signal(&self, process: ProcessId, signal: Signal) -> Result<(), SignalError> {
        if self.get(process.pid).is_none_or(|found| found.id != process) {
            return Err(SignalError::Gone(process.pid));
        }
        let act = {
            let mut state = self.state();
            state.signals.push((process, signal));
            state.on_signal.clone()
        };
        if let Some(act) = act {
            act(self, process, signal);
        }
        Ok(())
    }
}
