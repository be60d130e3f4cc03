//! Processes on a core of their own, and what they take of it.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A process on one core; killed when it is dropped.
pub(crate) struct Process {
    child: Child,
}

/// CPU time of a process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu: Duration,
    /// Its threads could have run and others did.
    pub(crate) waited: Duration,
}

impl Process {
    /// Starts it with standard streams as ours are.
    pub(crate) fn start(core: usize, arguments: &[&str]) -> io::Result<Process> {
        Process::spawn(Process::command(core, arguments))
    }

    /// Starts it with standard input and output to be talked over.
    pub(crate) fn talk_to(core: usize, arguments: &[&str]) -> io::Result<Process> {
        let mut command = Process::command(core, arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Process::spawn(command)
    }

    /// Starts it in silence.
    pub(crate) fn start_quietly(core: usize, arguments: &[&str]) -> io::Result<Process> {
        let mut command = Process::command(core, arguments);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Process::spawn(command)
    }

    /// The shell raises the limit of descriptors (two sockets for every call) and becomes the program.
    fn command(core: usize, arguments: &[&str]) -> Command {
        const PIN: &str = r#"ulimit -n 16384 2>/dev/null
            if command -v taskset >/dev/null && [ "$(nproc --all)" -gt 1 ]; then exec taskset -c "$@"; fi
            shift; exec "$@""#;
        let mut command = Command::new("sh");
        command.args(["-c", PIN, "sh", &core.to_string()]).args(arguments);
        command
    }

    fn spawn(mut command: Command) -> io::Result<Process> {
        Ok(Process { child: command.spawn()? })
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// Whether it succeeds.
    pub(crate) fn wait(mut self) -> io::Result<bool> {
        self.child.wait().map(|status| status.success())
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Usage {
    /// All threads that there are now (`/proc/…/schedstat`: nanoseconds on the core, nanoseconds ready to run).
    pub(crate) fn of(process: u32) -> Usage {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        let mut usage = Usage::default();
        for task in tasks {
            let Ok(text) = std::fs::read_to_string(task.path().join("schedstat")) else { continue };
            let mut numbers = text.split_whitespace().map_while(|number| number.parse().ok()).map(Duration::from_nanos);
            usage.cpu += numbers.next().unwrap_or_default();
            usage.waited += numbers.next().unwrap_or_default();
        }
        usage
    }

    pub(crate) fn since(self, before: Usage) -> Usage {
        Usage { cpu: self.cpu.saturating_sub(before.cpu), waited: self.waited.saturating_sub(before.waited) }
    }
}

/// What all processes together have taken of all cores.
pub(crate) fn machine_busy() -> Duration {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let numbers: Vec<u64> =
        text.lines().next().into_iter().flat_map(str::split_whitespace).filter_map(|word| word.parse().ok()).collect();
    // user, nice, system, (idle, iowait,) irq, softirq, in hundredths of a second.
    let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|&index| numbers.get(index)).sum();
    Duration::from_millis(busy * 10)
}
